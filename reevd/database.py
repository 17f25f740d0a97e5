"""How the one writer opens the database."""

from __future__ import annotations

import contextlib
import os
import threading

import apsw

DAMAGED = (apsw.CorruptError, apsw.NotADBError)
"""What SQLite raises where it meets damage; the latter where that makes the file no database at all."""

UNFIT = (apsw.TooBigError, OverflowError, TypeError, ValueError)
"""What is raised for what SQLite or JSON cannot hold: the same again, however often it is tried."""

BUSY_MS = 10_000
PAGE_CACHE_KIB = 8_192
PAGE_BYTES = 8_192  # of a new database: two results fit on a page, where one and a quarter did on the usual 4,096
LOG_BYTES = 32 << 20  # what a burst made of the log is cut to when it begins anew, also where work never rests


def damage(db: apsw.Connection) -> str | None:
    """The first that is wrong with the database, of which all is read; None where nothing is. Raises apsw.Error.

    SQLite's quick check takes a third of the time, and would not say whether each index has every row.
    """
    said: str = db.execute("PRAGMA integrity_check(1)").get
    return None if said == "ok" else said


def interrupt(db: apsw.Connection, thread: threading.Thread) -> None:
    """Until the thread has ended, whatever it does with that connection."""
    while thread.is_alive():
        db.interrupt()
        thread.join(0.05)


def connect(path: str, vfs: str | None = None) -> apsw.Connection:
    """A connection for reading and writing, in WAL mode, with bounded waits; `vfs`: SQLite's way to the disk."""
    # For its owner alone; SQLite gives its log the same mode. Others ask over the socket.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    db = apsw.Connection(path, vfs=vfs)
    db.set_busy_timeout(BUSY_MS)
    db.pragma("page_size", PAGE_BYTES)
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "normal")
    db.pragma("cache_size", -PAGE_CACHE_KIB)
    db.pragma("journal_size_limit", LOG_BYTES)
    return db
