"""The log is moved into the database beside the work, on a disk that takes its time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import apsw
import pytest

from reevd import books
from tests.harness import leave, session
from tests.integration.conftest import Bench


class SlowDisk(apsw.VFS):
    """While `slow`, the database file is durable only once it is let go.

    waiting: set once somebody waits for that. impatient: whether somebody gave up. longest: bytes of the log, at most
    """

    def __init__(self, bench: Bench) -> None:
        self.slow, self.waiting, self.go = False, threading.Event(), threading.Event()
        self.impatient, self.longest = False, 0
        self._log = f"{bench.database}-wal"
        super().__init__("slow", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)

    def sync(self) -> None:
        if self.slow:
            self.waiting.set()
            self.impatient |= not self.go.wait(10)
            self.longest = max(self.longest, os.path.getsize(self._log))


class _File(apsw.VFSFile):
    def __init__(self, disk: SlowDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk, self._main = disk, bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._main:
            self._disk.sync()
        super().xSync(flags)


@pytest.fixture
def disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    """A full log is one of 64 KiB, and the engine runs."""
    monkeypatch.setattr(books, "BUSY_WAL_BYTES", 1 << 16)
    monkeypatch.setattr(books, "CALM_WAL_BYTES", 1 << 16)
    monkeypatch.setattr(books, "BESIDE_WAL_BYTES", 1 << 15)
    disk = SlowDisk(bench)
    bench.vfs = disk.name = "slow"
    bench.start()
    disk.slow = True
    yield disk
    disk.go.set()
    bench.close()
    disk.unregister()


def leave_many(bench: Bench, prefix: str) -> None:
    for number in range(100):
        name = f"{prefix}-{number}"
        leave(bench.sessions, name, session(name, metadata={"prompt": "x" * 8_000}))


def test_no_result_waits_while_the_log_is_moved(bench: Bench, disk: SlowDisk) -> None:
    leave_many(bench, "first")
    bench.until(disk.waiting.is_set, "the log is moved")
    leave(bench.sessions, "late", session("late"))
    bench.until(lambda: bench.status("late") == "Completed", "what comes meanwhile is stored")
    assert not disk.impatient, "it was stored only once the disk had done"
    disk.go.set()
    assert bench.engine is not None
    store = bench.engine.store
    bench.until(lambda: store.wal_bytes == 0, "all of the log is moved")


def test_the_log_does_not_grow_without_end(bench: Bench, disk: SlowDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST_WAL_BYTES", 1 << 20)
    leave_many(bench, "first")
    bench.until(disk.waiting.is_set, "the log is moved")
    for number in range(10):
        leave_many(bench, f"more-{number}")
    release = threading.Timer(1.0, disk.go.set)
    release.start()
    bench.until(lambda: bench.status("more-9-99") == "Completed", "all is stored in the end")
    release.join()
    assert 0 < disk.longest < 8 << 20


def test_it_ends_with_the_engine(bench: Bench, disk: SlowDisk) -> None:
    leave_many(bench, "first")
    bench.until(disk.waiting.is_set, "the log is moved")
    threading.Timer(0.2, disk.go.set).start()
    bench.close()
    disk.slow = False
    bench.start()
    assert bench.status("first-99") == "Completed"
