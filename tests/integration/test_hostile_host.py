"""A host that refuses: leases, no descriptors left. The file is there, and is read later."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import leave
from tests.integration.conftest import Bench
from tests.integration.hostile import GOOD, SESSION, goes_on

LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
os.rename(sys.argv[1], sys.argv[2])
print("there", flush=True)
sys.stdin.read()
"""


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Whoever opens the file must wait until its owner has given up the lease, or 45 s."""
    hidden = path.with_name("whole")
    hidden.write_text(GOOD)
    command = [sys.executable, "-c", LEASE, str(hidden), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        if not owner.stdout.readline():
            pytest.skip("no leases on this file system")
        yield
        owner.kill()


def test_a_leased_file_delays_nobody_and_is_read_later(bench: Bench) -> None:
    engine = bench.start()
    with leased(bench.sessions / SESSION):
        bench.until(lambda: engine.health().reasons, "health says so")
        goes_on(bench)
        assert bench.status("x") is None
    bench.until(lambda: bench.status("x") == "Completed", "it is read")
    bench.until(lambda: not engine.health().reasons, "health is good again")


def test_a_lease_is_not_taken_for_a_lack_of_descriptors(bench: Bench) -> None:
    engine = bench.start()
    with leased(bench.sessions / SESSION):
        bench.until(lambda: engine.health().reasons, "health says so")
        assert "limit of open files" not in engine.health().reasons[0]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing can be opened in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "scan",
    [False, True],
)
def test_without_descriptors_no_file_counts_as_gone(bench: Bench, *, scan: bool) -> None:
    engine = bench.start()
    goes_on(bench, "kept")
    bench.until(lambda: engine.idle and not engine.store.unsettled(), "all at rest")
    leave(bench.sessions, "x", GOOD)
    os.utime(bench.sessions / "session_kept.json")
    with no_descriptors():
        if scan:
            engine.rescan()
        bench.until(lambda: engine.health().reasons, "health says so")
        kept = bench.row("kept")
    assert kept is not None
    assert (kept.status, kept.source_state) == ("Completed", "present")
    bench.until(lambda: bench.status("x") == "Completed" and not engine.health().reasons, "it healed")
