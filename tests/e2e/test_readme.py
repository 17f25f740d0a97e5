"""Every command of the README, run as it stands there, against a daemon with the demo's cases."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reevd.api.document import document
from tests.harness import ROOT, Daemon, daemon

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [line.split("  #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
NOT_HERE = {
    "make ": "its targets are what runs this test, or take an hour",
    "reevd": "it runs already",
    "curl --unix-socket logs/state/reevd.sock -N": "it does not end by itself; see test_events.py",
}
PROGRAMS = {"reevd": "reevd.cli", "reevctl": "reevd.ctl", "reev-runner": "runner"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "benchmarks", home / "benchmarks")
    (home / "bin").mkdir()
    for name, module in PROGRAMS.items():
        program = home / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    with daemon(home, runner=home / "bin" / "reev-runner") as made:
        yield made


def runnable() -> list[str]:
    return [line for line in LINES if not any(line == name or line.startswith(name) for name in NOT_HERE)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed here")
def test_the_commands_work_in_their_order(running: Daemon, tmp_path: Path) -> None:
    environ = {**os.environ, "PATH": f"{running.home / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environ.pop("REEVD_SOCKET", None)
    lines = runnable()
    assert len(lines) > 10
    for line in lines:
        fails = line.startswith("curl")
        command = line.replace("curl ", "curl -sS --fail-with-body ", 1) if fails else line
        done = subprocess.run(
            ["bash", "-c", command], cwd=running.home, env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        assert done.stderr == "" or "in runs.jsonl" in done.stderr or line.startswith("reev-runner"), (
            line,
            done.stderr,
        )


def described(pattern: str) -> set[str]:
    """The paths in the part of the README that the pattern finds, each of their places as `{}`."""
    (part,) = re.findall(pattern, README, re.DOTALL)
    return {re.sub("{.*?}", "{}", path) for path in re.findall(r"`(?:(?:GET|POST) )?(/[^` ?]+)", part)}


def test_every_endpoint_and_every_list_that_pages_is_named() -> None:
    paths = {re.sub("{.*?}", "{}", path): methods for path, methods in document()["paths"].items()}
    table = described(r"\| path below `/api/v1`.*?\n\n") - {"/api/v1"}
    assert table == set(paths)
    cursor = {"$ref": "#/components/parameters/cursor"}
    pages = {path for path, methods in paths.items() if cursor in methods.get("get", {}).get("parameters", ())}
    assert described(r"Lists come in pages: .*? take ") == pages


def test_what_is_left_out_is_in_the_readme() -> None:
    for name in NOT_HERE:
        assert any(line == name or line.startswith(name) for line in LINES), f"{name} is no command of the README"
