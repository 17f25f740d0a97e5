"""The journal, made anew from the database: what it must hold of what stands there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import structlog

from reevd import record
from reevd.journal import Journal, line_of
from reevd.model import Decision, Execution
from reevd.schema import COLUMNS
from reevd.store import Store

BATCH = 500
SLICE = 4 << 20  # at each look, twice a second: a million results in a quarter of an hour
NEW = ".new"
ENDED = (
    f"SELECT change, {COLUMNS} FROM execution_states WHERE deadline_at IS NULL AND change > ? ORDER BY change LIMIT ?"
)

log = structlog.get_logger("reevd.transcript")


def transcript(store: Store) -> Iterator[list[dict[str, Any]]]:
    """The records, in portions: what has ended, and decisions. Raises apsw.Error.

    What changes meanwhile has a higher number than all before it, and comes in its turn.
    """
    at = 0
    while rows := store.rows(ENDED, (at, BATCH)):
        at = rows[-1][0]
        yield [record.result(Execution._make(row[1:])) for row in rows]
    yield [record.decision(Decision._make(row)) for row in store.rows("SELECT * FROM decisions ORDER BY at")]


def take_place(journal: Journal, store: Store, path: str) -> None:
    """The journal at `path`, which is whole and on the disk, takes the other's place. Raises OSError and apsw.Error.

    Cut short, the next start replays all of whichever journal it finds; rows that stand stay.
    """
    # On the disk first: an older offset would lead into the middle of the new one.
    store.note("journal_size", 0, durably=True)
    journal.become(path)
    store.note("journal_size", journal.size)


class Transcript:
    """`step` until `done`. Raises OSError and apsw.Error as the disk does: then `abandon` it, and begin another."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal, self._store = journal, store
        self._path = journal.path + NEW
        self._new = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._portions = transcript(store)
        self.done = False

    def step(self) -> None:
        """Writes the next slice; with the last one, it has all that was stored until then, and stands in its place."""
        written = 0
        while written < SLICE:
            portion = next(self._portions, None)
            if portion is None:
                self._finish()
                return
            lines = b"".join(map(line_of, portion))
            if lines and os.write(self._new, lines) != len(lines):
                raise OSError(f"{self._path} could not be written whole")
            written += len(lines)

    def _finish(self) -> None:
        os.fsync(self._new)
        take_place(self._journal, self._store, self._path)
        os.close(self._new)
        self.done = True
        log.info("journal made anew from the database", journal=self._journal.path, bytes=self._journal.size)

    def abandon(self) -> None:
        os.close(self._new)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
