"""`python -m tests.mutants [--jobs N] [--only NAME]`: breaks the engine on purpose and sees that the tests notice."""

from __future__ import annotations

import argparse
import ast
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.mutants.catalogue import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
COPIED = ("reevd", "runner", "tests", "fixtures", "benchmarks", "pyproject.toml")
PATIENCE = 60  # seconds that a command may take on the unbroken copy
# What the programs print before they end with 1 because something is wrong, and not because they crashed.
TOLD = re.compile(r"^((?:FAILED|ERROR) \S+|seed \d+:|--one \S+)", re.MULTILINE)


class BrokenError(Exception):
    """The comparison itself is no good: a text has changed, a command does not run."""


class Verdict(NamedTuple):
    """caught_by: the first failing test or program; empty where the mutant survived, or nothing is broken."""

    name: str
    caught_by: str
    seconds: float


def broken(mutant: Mutant) -> str:
    """The text of the mutant's file with the break in it."""
    text = (ROOT / mutant.file).read_text()
    if (count := text.count(mutant.old)) != 1:
        raise BrokenError(
            f"{mutant.name}: the text has changed: adapt the mutant ({mutant.file} has it {count} times)\n{mutant.old}"
        )
    changed = text.replace(mutant.old, mutant.new)
    try:
        ast.parse(changed)
    except SyntaxError as error:
        raise BrokenError(f"{mutant.name}: the break is no Python: {error}") from error
    return changed


@contextmanager
def copy() -> Iterator[Path]:
    """A copy of the checkout that may be broken."""
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder, name)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
            else:
                shutil.copy2(source, target)
        yield Path(folder)


def run(target: str, folder: Path, patience: int) -> str:
    """Runs a test or a program in the copy. What failed, or nothing. Raises BrokenError where it could not run."""
    pytest = target.startswith("tests/")
    options = ["-x", "-rfE", "-p", "no:cacheprovider", f"--timeout={patience}"]
    command = ["pytest", *options, *target.split()] if pytest else target.split()
    output = folder / "output"
    with output.open("wb") as file, (folder / "output").open("rb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        descriptor = os.pidfd_open(process.pid)
        try:
            ended, _, _ = select.select([descriptor], [], [], patience + 10)
        finally:
            # Also what it left running; it is not waited for yet, so that the number of its group is still its own.
            os.killpg(process.pid, signal.SIGKILL)
            os.close(descriptor)
            status = process.wait()
        text = told.read().decode(errors="replace")
    if not ended:
        return f"{target}: it does not end"
    if status == 0:
        if pytest and not re.search(r"\b\d+ passed", text):
            raise BrokenError(f"{target}: nothing was tested here\n{text[-2000:]}")
        return ""
    found = TOLD.search(text)
    if status != 1 or found is None:
        raise BrokenError(f"{target} ended with {status} and no finding\n{text[-2000:]}")
    return found[0].split()[1] if pytest else f"{target}: {found[0].rstrip(':')}"


def judge(mutant: Mutant) -> Verdict:
    """Breaks a copy and runs what should notice, until something does."""
    began = time.monotonic()
    changed = broken(mutant)
    with copy() as folder:
        (folder / mutant.file).write_text(changed)
        found = next(filter(None, (run(target, folder, mutant.patience) for target in mutant.targets)), "")
    return Verdict(mutant.name, found, time.monotonic() - began)


def sound(target: str) -> Verdict:
    """Runs what should notice on an unbroken copy."""
    began = time.monotonic()
    with copy() as folder:
        return Verdict(target, run(target, folder, PATIENCE), time.monotonic() - began)


def compare(mutants: list[Mutant], jobs: int) -> int:
    """Prints the table. The number of mutants that survived. Raises BrokenError where it means nothing."""
    for mutant in mutants:
        broken(mutant)
    targets = list(dict.fromkeys(target for mutant in mutants for target in mutant.targets))
    with ThreadPoolExecutor(jobs) as pool:
        began = time.monotonic()
        for verdict in pool.map(sound, targets):
            if verdict.caught_by:
                raise BrokenError(f"it fails though nothing is broken: {verdict.caught_by}")
        print(f"unbroken: {len(targets)} commands pass, {time.monotonic() - began:.0f} s\n", flush=True)
        width = max(len(mutant.name) for mutant in mutants)
        survived = 0
        print(f"{'mutant':<{width}}  {'file':<20}  seconds  caught by")
        for mutant, verdict in zip(mutants, pool.map(judge, mutants), strict=True):
            survived += not verdict.caught_by
            told = verdict.caught_by or "SURVIVED"
            print(f"{mutant.name:<{width}}  {mutant.file:<20}  {verdict.seconds:7.1f}  {told}", flush=True)
        print(f"\n{len(mutants)} mutants, {survived} survived; {time.monotonic() - began:.0f} s")
    return survived


def main() -> int:
    parser = argparse.ArgumentParser(description="Breaks the engine on purpose; exit status 1 if nobody notices.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", metavar="NAME", choices=[mutant.name for mutant in MUTANTS])
    asked = parser.parse_args()
    try:
        return int(compare([m for m in MUTANTS if asked.only in (None, m.name)], asked.jobs) > 0)
    except BrokenError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
