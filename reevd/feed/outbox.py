"""The outbox: what is still to be told to whom, and what was, in a small database of its own.

Nothing leaves it before it was delivered or given up: what is told, is told at least once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from reevd.feed.outcome import Outcome

SCHEMA = """
CREATE TABLE IF NOT EXISTS follower (
    name TEXT PRIMARY KEY NOT NULL, birth TEXT NOT NULL, number INTEGER NOT NULL, since TEXT NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0, given_up INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (
    name TEXT NOT NULL, execution_id TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (name, execution_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS waiting (
    name TEXT NOT NULL, execution_id TEXT NOT NULL, digest TEXT NOT NULL, attempts INTEGER NOT NULL,
    due_at REAL NOT NULL, PRIMARY KEY (name, execution_id)
) WITHOUT ROWID;
"""
BUSY_MS = 10_000
OUTBOX = "-feed"
"""What its path has behind the database's."""


class Waiting(NamedTuple):
    execution_id: str
    digest: str
    attempts: int


class Tally(NamedTuple):
    """Of one follower: outcomes that were delivered, attempts that failed, those given up, those that wait."""

    sent: int
    failed: int
    given_up: int
    waiting: int


class Outbox:
    """The part of one follower. `since`: what ended before is not for it. Times are seconds since 1970.

    Raises apsw.Error, and OSError where the file cannot be made.
    """

    def __init__(self, path: str, name: str, since: str) -> None:
        self._name = name
        # For its owner alone, as the database; SQLite gives its log the same mode. Older ones were for the group too.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
        self._db = apsw.Connection(path)
        self._db.set_busy_timeout(BUSY_MS)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self._db:
            self._db.execute(SCHEMA)
            row = "INSERT OR IGNORE INTO follower (name, birth, number, since) VALUES (?, '', 0, ?)"
            self._db.execute(row, (name, since))
        self.since: str = self._db.execute("SELECT since FROM follower WHERE name = ?", (name,)).get

    def close(self) -> None:
        self._db.close()

    def position(self, birth: str) -> int:
        """Behind which change to go on; from the beginning in a database that was made anew."""
        query = "SELECT number FROM follower WHERE name = ? AND birth = ?"
        found = self._db.execute(query, (self._name, birth)).fetchone()
        return int(found[0]) if found else 0

    def take(self, outcomes: Iterable[Outcome], birth: str, number: int) -> None:
        """Takes in what is to be told, and the position behind it, in one transaction."""
        with self._db:
            for outcome in outcomes:
                key = (self._name, outcome.execution_id)
                query = "SELECT digest FROM told WHERE name = ? AND execution_id = ?"
                told = self._db.execute(query, key).fetchone()
                if told is None or not told[0].startswith(outcome.digest):
                    row = "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, 0, 0)"
                    self._db.execute(row, (*key, outcome.digest))
            row = "UPDATE follower SET birth = ?, number = ? WHERE name = ?"
            self._db.execute(row, (birth, number, self._name))

    def due(self, now: float, limit: int) -> list[Waiting]:
        query = "SELECT execution_id, digest, attempts FROM waiting WHERE name = ? AND due_at <= ?"
        rows = self._db.execute(f"{query} ORDER BY due_at, execution_id LIMIT ?", (self._name, now, limit))
        return [Waiting(*row) for row in rows]

    def done(self, items: Sequence[Waiting], *, given_up: bool = False, gone: bool = False) -> None:
        """Delivered, or not to be tried any more. `gone`: there is nothing left to tell."""
        with self._db:
            for item in items:
                key = (self._name, item.execution_id)
                if not gone:
                    self._db.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?)", (*key, item.digest))
                # Another outcome may have come meanwhile: it stays.
                drop = "DELETE FROM waiting WHERE name = ? AND execution_id = ? AND digest = ?"
                self._db.execute(drop, (*key, item.digest))
            if not gone:
                self._count("given_up" if given_up else "sent", len(items))

    def put_off(self, item: Waiting, until: float) -> None:
        with self._db:
            key = (item.attempts + 1, until, self._name, item.execution_id)
            self._db.execute("UPDATE waiting SET attempts = ?, due_at = ? WHERE name = ? AND execution_id = ?", key)
            self._count("failed", 1)

    def failed(self) -> None:
        with self._db:
            self._count("failed", 1)

    def _count(self, column: str, more: int) -> None:
        self._db.execute(f"UPDATE follower SET {column} = {column} + ? WHERE name = ?", (more, self._name))


def tallies(path: str) -> dict[str, Tally]:
    """Of all followers; none where nothing was ever followed."""
    query = (
        "SELECT name, sent, failed, given_up, (SELECT count(*) FROM waiting w WHERE w.name = f.name) FROM follower f"
    )
    return {row[0]: Tally(*row[1:]) for row in _read(path, query)}


def untold(path: str, execution_ids: Sequence[str]) -> list[str]:
    """Those of them that somebody was not told of yet."""
    query = "SELECT DISTINCT execution_id FROM waiting WHERE execution_id IN (SELECT value FROM json_each(?))"
    return [execution_id for (execution_id,) in _read(path, query, orjson.dumps(execution_ids).decode())]


def _read(path: str, query: str, *values: str) -> list[tuple[Any, ...]]:
    try:
        with contextlib.closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as db:
            return list(db.execute(query, values))
    except apsw.Error:
        return []
