"""`python -m tests.racy [--trials 1500] [FOLDER ...]`: files rewritten in place while they are read, news lost.

Each trial replaces a file's content by another of the same size, in pieces, as editors and many languages' writers
do. The engine hears of the first piece only. What it reads then may be old, new, torn, or valid JSON of both
versions; what stands in the database afterwards must be what the file says. A trial whose writer was kept waiting, in
the middle of it, for half of the time that a file takes to settle is none, and another takes its place.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from reevd.bounds import Bounds, Pace
from reevd.engine import Engine
from tests.harness import session

BOUNDS = Bounds(settle_ns=40_000_000)
FILES = 100
MOST_ROUNDS = 1_000
VALUES = 1_500  # some 9 KB, so that a version spans pages


def content(name: str, version: int) -> bytes:
    """All versions have one size."""
    data = {"v": [10_000 + version] * VALUES}
    final = {"success": True, "score": float(f"0.1{version:04}1"), "status": "Succeeded", "data": data}
    return json.dumps(session(name, final_result=final)).encode()


def write(folder: Path, names: list[str], version: int, seed: int) -> list[str]:
    """One round of rewriting, in a process of its own. Returns in which files it had to wait."""
    dice, kept_waiting = random.Random(seed), list[str]()
    for name in names:
        data = content(name, version)
        descriptor = os.open(folder / f"session_{name}.json", os.O_WRONLY)
        cuts = sorted(dice.randrange(len(data)) for _ in range(dice.randrange(1, 4)))
        written, longest = time.monotonic_ns(), 0
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            os.pwrite(descriptor, data[start:end], start)
            before, written = written, time.monotonic_ns()
            longest = max(longest, written - before)
            pause = time.perf_counter() + dice.random() * 0.0004
            while time.perf_counter() < pause:
                pass
        os.close(descriptor)
        if longest > BOUNDS.settle_ns // 2:
            kept_waiting.append(name)
    return kept_waiting


def hear_once(engine: Engine) -> set[bytes]:
    """Of each file the engine hears once; who calls this clears the set for the next round."""
    watch = engine._lookout._watch
    assert watch is not None
    heard: set[bytes] = set()
    take = watch.take

    def first() -> tuple[set[bytes], bool]:
        names, lost = take()
        new = names - heard
        heard.update(new)
        return new, lost

    watch.take = first  # type: ignore[method-assign]
    return heard


class Count:
    """wrong: rows that do not say what the file says. mixed: readings on the way that no version ever was."""

    def __init__(self) -> None:
        self.trials = self.wrong = self.mixed = self.early = 0


def run(folder: Path, trials: int, seed: int) -> Count:
    """So many trials in a fresh folder below `folder`."""
    home = Path(tempfile.mkdtemp(prefix="racy-", dir=folder))
    sessions = home / "sessions"
    names = [f"run-{number}" for number in range(FILES)]
    count = Count()
    engine = Engine(str(sessions), str(home / "db"), bounds=BOUNDS, pace=Pace(rescan=3_600))
    try:
        for name in names:
            (sessions / f"session_{name}.json").write_bytes(content(name, 0))
        engine.settle()
        _rest(engine)
        heard = hear_once(engine)
        for version in range(1, MOST_ROUNDS):
            if count.trials >= trials:
                break
            heard.clear()
            _round(engine, sessions, names, version, seed + version, count, trials - count.trials)
    finally:
        engine.close()
        shutil.rmtree(home)
    return count


def _round(engine: Engine, sessions: Path, names: list[str], version: int, seed: int, count: Count, most: int) -> None:
    """Of which up to `most` count."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(tell, json.dumps(write(sessions, names, version, seed)).encode())
        os._exit(0)
    os.close(tell)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        engine.poll.poll(min(engine.step(), 0.001))
    with os.fdopen(told) as text:
        kept_waiting = json.load(text)
    names = [name for name in names if name not in kept_waiting][:most]
    for row in _rows(engine, names):
        versions = _versions(row)
        count.mixed += len(versions) > 1
        count.early += versions != {10_000 + version}
    _rest(engine)
    for row in _rows(engine, names):
        versions = _versions(row)
        count.wrong += versions != {10_000 + version}
        count.trials += 1


def _rest(engine: Engine) -> None:
    """Until it has nothing left to look at; no scan and no event helps it."""
    deadline = time.monotonic() + 20
    while engine.health().pending or not engine.idle:
        assert time.monotonic() < deadline, engine.health()
        engine.poll.poll(min(engine.step(), 0.005))


def _versions(row: dict[str, Any]) -> set[int]:
    return {*row["data"]["v"], 10_000 + int(str(row["score"])[3:7])}


def _rows(engine: Engine, names: list[str]) -> list[dict[str, Any]]:
    known = engine.store.known(names).executions
    return [json.loads(known[name].result_data or "")["final_result"] for name in names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("/dev/shm"), Path(tempfile.gettempdir())])
    parser.add_argument("--trials", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    wrong = 0
    for folder in filter(Path.is_dir, asked.folders):
        count = run(folder, asked.trials, asked.seed)
        wrong += count.wrong
        print(
            f"{_kind(folder):<8} {count.trials:,} rewritten in place: {count.wrong} wrong at rest"
            f" ({count.early} not yet right when the writer was done, {count.mixed} of two versions)",
            flush=True,
        )
    return int(wrong > 0)


def _kind(folder: Path) -> str:
    """The type of its file system."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[2] == wanted:
            return line.partition(" - ")[2].split()[0]
    return "unknown"


if __name__ == "__main__":
    sys.exit(main())
