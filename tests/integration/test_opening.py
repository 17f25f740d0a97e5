"""A database that cannot be opened now: who tries again and again leaves nothing open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import apsw
import pytest

from reevd import database
from reevd.engine import Engine
from reevd.journal import Journal
from tests.integration.conftest import Bench

Failure = Callable[[Bench], AbstractContextManager[None]]


@contextmanager
def no_database(bench: Bench) -> Iterator[None]:
    bench.database.mkdir()
    yield
    bench.database.rmdir()


@contextmanager
def no_log(bench: Bench) -> Iterator[None]:
    """The database itself can be opened."""
    log = bench.database.with_name(bench.database.name + "-wal")
    log.mkdir()
    yield
    log.rmdir()


@contextmanager
def no_folder(bench: Bench) -> Iterator[None]:
    """Of the sessions, which is opened last."""
    bench.sessions.rmdir()
    bench.sessions.touch()
    yield
    bench.sessions.unlink()


@contextmanager
def bad_journal(bench: Bench) -> Iterator[None]:
    def failing(_: Journal) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "_whole_end", failing)
        yield


@contextmanager
def another_writer(bench: Bench) -> Iterator[None]:
    """While the clock is to be noted, which was set since."""
    with closing(apsw.Connection(str(bench.database))) as other:
        other.execute("UPDATE meta SET value = 1 WHERE key = 'clock_base'")
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("failure", [no_database, no_log, no_folder, bad_journal, another_writer])
def test_tries_that_fail_leave_nothing_open(bench: Bench, failure: Failure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 10)
    if failure is another_writer:
        bench.start()
        bench.close()
    before = len(os.listdir("/proc/self/fd"))
    with failure(bench):
        for _ in range(20):
            with pytest.raises((apsw.Error, OSError)):
                Engine(str(bench.sessions), str(bench.database))
    assert len(os.listdir("/proc/self/fd")) == before
    bench.start()
