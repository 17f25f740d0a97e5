"""The programs that break reevd at random, as long as the suite has time for them; `make chaos` goes on for an hour."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness import ROOT


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(200)
def test_500_schedules_of_torn_writes_and_kills_converge() -> None:
    done = run("tests.chaos", "--schedules", "500", "--jobs", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "500 schedules" in done.stdout
    assert "0 schedules with a violation" in done.stdout


@pytest.mark.timeout(200)
def test_2000_failures_of_the_disk_lose_nothing() -> None:
    done = run("tests.faults", "--faults", "2000", "--jobs", "4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2,000 faults" in done.stdout
    assert "; 0 failed" in done.stdout


@pytest.mark.timeout(100)
def test_files_rewritten_in_place_while_they_are_read_end_right() -> None:
    done = run("tests.racy")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("1,500 rewritten in place: 0 wrong at rest") >= 1
