"""The journal, made anew from the database: what it must hold of what stands there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import Any

import structlog

from reevd import record
from reevd.journal import LOST, Journal, line_of, write_all
from reevd.model import Decision, Execution
from reevd.schema import COLUMNS
from reevd.store import Store

SLICE = 4 << 20  # at each look, twice a second: a million results in a quarter of an hour
NEW = ".new"
FIRST: tuple[Any, ...] = ("", "", 0)
DECISIONS = (
    "SELECT execution_id, kind, * FROM decisions WHERE (execution_id, kind) > (?, ?) ORDER BY execution_id, kind"
)
ENDED = f"SELECT change, {COLUMNS} FROM execution_states WHERE deadline_at IS NULL AND change > ? ORDER BY change"

log = structlog.get_logger("reevd.transcript")


def transcript(store: Store, after: tuple[Any, ...] = FIRST) -> Generator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Decisions and what has ended, as records, each with what to give as `after` to go on behind it.

    Close it: while it stands, it keeps the log from being moved. Raises apsw.Error.
    """
    with contextlib.closing(store.db.cursor()) as cursor:
        execution_id, kind, change = after
        if not change:
            for *key, _, _, at, reason, benchmark_id, agent in cursor.execute(DECISIONS, (execution_id, kind)):
                made = Decision(key[0], key[1], at, reason, benchmark_id, agent)
                yield (*key, 0), record.decision(made)
        for number, *row in cursor.execute(ENDED, (change,)):
            yield ("", "", number), record.result(Execution._make(row))


def take_place(journal: Journal, store: Store, path: str, meanwhile: int) -> None:
    """The journal at `path`, which is whole and on the disk, takes the other's place. Raises OSError and apsw.Error.

    meanwhile: what the database says of its size until that is done, on the disk first: the old one would lead into
    the middle of the new one
    """
    store.note("journal_size", meanwhile, durably=True)
    journal.become(path)
    store.note("journal_size", journal.size)


class Transcript:
    """`step` until `done`. Raises OSError and apsw.Error as the disk does: then `abandon` it, and begin another.

    What the journal is given meanwhile comes behind what was written before it.
    """

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal, self._store = journal, store
        self._path = journal.path + NEW
        self._new = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        journal.copy_to(self._new)
        self._after = FIRST
        self.done = False

    def step(self) -> None:
        """Writes the next slice; after the last one it stands in the journal's place."""
        if not self._journal.copied:
            raise OSError(f"{self._path} lacks what came meanwhile")
        lines = bytearray()
        with contextlib.closing(transcript(self._store, self._after)) as records:
            for self._after, each in records:
                lines += line_of(each)
                if len(lines) >= SLICE:
                    write_all(self._new, lines)
                    return
        write_all(self._new, lines)
        os.fsync(self._new)
        take_place(self._journal, self._store, self._path, LOST)
        os.close(self._new)
        self.done = True
        log.info("journal made anew from the database", journal=self._journal.path, bytes=self._journal.size)

    def abandon(self) -> None:
        self._journal.copy_to(None)
        os.close(self._new)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
