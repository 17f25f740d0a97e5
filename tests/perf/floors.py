"""What the machine can do at best, measured in the same run as reevd: the denominators of every ratio.

Each floor does the same work as reevd with nothing around it: no watching that could be doubted, no second
look, no history, no journal.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from pathlib import Path

import apsw
import orjson

IN_CLOSE_WRITE, IN_MOVED_TO, IN_Q_OVERFLOW = 0x8, 0x80, 0x4000
EVENT = struct.Struct("iIII")
TABLES = """
CREATE TABLE execution_states (execution_id TEXT PRIMARY KEY, benchmark_id TEXT, agent TEXT, status TEXT,
    created_at TEXT, updated_at TEXT, progress REAL, error_message TEXT, result_data TEXT, metadata TEXT);
CREATE INDEX execution_states_created ON execution_states (created_at, status);
CREATE TABLE tool_calls (execution_id TEXT, seq INTEGER, tool_name TEXT, params TEXT, result TEXT,
    PRIMARY KEY (execution_id, seq)) WITHOUT ROWID;
"""
INSERT = "INSERT INTO execution_states VALUES (?,?,?,?,?,?,?,?,?,?)"
INSERT_CALL = "INSERT INTO tool_calls VALUES (?,?,?,?,?)"


def open_database(path: Path) -> apsw.Connection:
    """The floor's database: WAL, NORMAL, no more tables than the work needs."""
    db = apsw.Connection(str(path))
    db.set_busy_timeout(10_000)
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "normal")
    if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:  # type: ignore[index]
        db.execute(TABLES)
    return db


Rows = tuple[tuple[object, ...], list[tuple[object, ...]]]


def rows(raw: bytes) -> Rows:
    """One session file as a row, and the rows of its tool calls."""
    document = orjson.loads(raw)
    final = document["final_result"]
    calls: list[tuple[object, ...]] = [
        (
            document["session_id"],
            n,
            c["tool_name"],
            orjson.dumps(c["params"]).decode(),
            orjson.dumps(c["result"]).decode(),
        )
        for n, c in enumerate(final["tools"])
    ]
    execution = (
        document["session_id"],
        document["benchmark_id"],
        document["agent_type"],
        "Completed" if final["success"] else "Failed",
        str(document["start_time"]),
        str(document["end_time"]),
        1.0,
        None,
        orjson.dumps(final).decode(),
        orjson.dumps(document["metadata"]).decode(),
    )
    return execution, calls


def read(folder: int, name: bytes) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


class RawInotify:
    """inotify with nothing around it: names of files that were closed or moved in."""

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if libc.inotify_add_watch(self.descriptor, os.fsencode(path), IN_CLOSE_WRITE | IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        self._poll = select.poll()
        self._poll.register(self.descriptor, select.POLLIN)
        self.overflowed = False

    def names(self) -> list[bytes]:
        """What came; waits for the first."""
        self._poll.poll()
        data = os.read(self.descriptor, 1 << 18)
        found, at = [], 0
        while at < len(data):
            _, mask, _, length = EVENT.unpack_from(data, at)
            self.overflowed |= bool(mask & IN_Q_OVERFLOW)
            found.append(data[at + 16 : at + 16 + length].rstrip(b"\0"))
            at += 16 + length
        return [name for name in found if name.startswith(b"session_")]


def ingest(folder: Path, database: Path, ready: int) -> None:
    """Raw inotify, batched, one thread, for ever: as a process of its own. Writes a byte to `ready` once it watches."""
    db, watch, descriptor = open_database(database), RawInotify(folder), os.open(folder, os.O_RDONLY)
    seen: set[bytes] = set()
    os.write(ready, b"!")
    while True:
        names = watch.names()
        seen.update(names)
        if watch.overflowed:
            watch.overflowed = False
            missed = [
                n for n in map(os.fsencode, os.listdir(descriptor)) if n not in seen and n.startswith(b"session_")
            ]
            seen.update(missed)
            names += missed
        store(db, [rows(read(descriptor, name)) for name in names])


def store(db: apsw.Connection, found: list[Rows]) -> None:
    ids = [(execution[0],) for execution, _ in found]
    with db:
        db.executemany("DELETE FROM execution_states WHERE execution_id = ?", ids)
        db.executemany("DELETE FROM tool_calls WHERE execution_id = ?", ids)
        db.executemany(INSERT, [execution for execution, _ in found])
        db.executemany(INSERT_CALL, [call for _, calls in found for call in calls])
