"""The log is moved into the database beside the work, on a disk that takes its time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import apsw
import pytest

from reevd import books
from reevd.checkpoint import Checkpoint
from tests.harness import leave, session
from tests.integration.conftest import Bench, no_threads


class SlowDisk(apsw.VFS):
    """While `slow`, the database file is durable only once it is let go; while `broken`, it never is.

    waiting: set once somebody waits for that. impatient: whether somebody gave up. longest: bytes of the log, at most
    inline: bytes that the engine's own thread wrote to the database file since it was slow
    """

    def __init__(self, bench: Bench) -> None:
        self.slow, self.broken, self.waiting, self.go = False, False, threading.Event(), threading.Event()
        self.impatient, self.longest, self.inline = False, 0, 0
        self._log = f"{bench.database}-wal"
        super().__init__("slow", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)

    def write(self, size: int) -> None:
        if self.slow and threading.current_thread() is threading.main_thread():
            self.inline += size

    def sync(self) -> None:
        if self.broken:
            error = apsw.IOError("the disk is broken")
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise error
        if self.slow:
            self.waiting.set()
            self.impatient |= not self.go.wait(10)
            self.longest = max(self.longest, os.path.getsize(self._log))


class _File(apsw.VFSFile):
    def __init__(self, disk: SlowDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk, self._main = disk, bool(flags[0] & apsw.SQLITE_OPEN_MAIN_DB)
        super().__init__("", name, flags)

    def xWrite(self, data: apsw.Buffer, offset: int) -> None:  # noqa: N802
        if self._main:
            self._disk.write(len(bytes(data)))
        super().xWrite(data, offset)

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
    all_is_moved(bench)
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
    all_is_moved(bench)
    log = bench.database.with_name(f"{bench.database.name}-wal")
    bench.until(lambda: log.stat().st_size == 0, "at rest its space is given back")


def all_is_moved(bench: Bench) -> None:
    assert bench.engine is not None
    store = bench.engine.store
    bench.until(lambda: store.wal_bytes == 0, "all of the log is moved")


def test_what_came_meanwhile_is_moved_beside_the_work_too(bench: Bench, disk: SlowDisk) -> None:
    leave_many(bench, "first")
    bench.until(disk.waiting.is_set, "the log is moved")
    leave_many(bench, "second")
    bench.until(lambda: bench.status("second-99") == "Completed", "what comes meanwhile is stored")
    disk.go.set()
    all_is_moved(bench)
    assert disk.inline <= 2 * books.BESIDE_WAL_BYTES


def test_without_a_thread_the_engine_moves_it_itself(bench: Bench, disk: SlowDisk) -> None:
    disk.go.set()
    with no_threads():
        leave_many(bench, "first")
        bench.until(lambda: bench.status("first-99") == "Completed", "all is stored")
        all_is_moved(bench)
    assert disk.inline > 0


def test_another_who_moves_it_is_no_failure(bench: Bench, disk: SlowDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[bool]()
    begin = Checkpoint.begin
    monkeypatch.setattr(Checkpoint, "begin", lambda checkpoint: tried.append(begin(checkpoint)) or tried[-1])
    other = apsw.Connection(str(bench.database), vfs="slow")
    assert other.pragma("journal_mode") == "wal"  # now it has opened the log
    mover = threading.Thread(target=other.wal_checkpoint)
    leave_many(bench, "first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(books, "CALM_WAL_BYTES", 1 << 30)
        patch.setattr(books, "BUSY_WAL_BYTES", 1 << 30)
        patch.setattr(books, "REST_LOOKS", 1 << 30)
        bench.until(lambda: bench.status("first-0") == "Completed", "there is a log")
        mover.start()
        bench.until(disk.waiting.is_set, "it is moved")
    leave_many(bench, "second")

    def stored() -> bool:
        assert bench.engine is not None
        assert not bench.engine.health().stale
        return bench.status("second-99") == "Completed" and len(tried) > 2

    bench.until(stored, "all is stored meanwhile")
    disk.go.set()
    mover.join()
    other.close()
    all_is_moved(bench)


def test_a_disk_that_fails_beside_the_work_is_told_and_survived(bench: Bench, disk: SlowDisk) -> None:
    engine = bench.engine
    assert engine is not None
    disk.slow, disk.broken = False, True
    leave_many(bench, "first")
    bench.until(lambda: engine.health().stale, "it is told")
    disk.broken = False
    bench.until(lambda: not engine.health().stale, "and over")
    bench.until(lambda: bench.status("first-99") == "Completed", "all is stored")
    all_is_moved(bench)


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
