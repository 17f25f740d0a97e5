"""The journal, made anew from the database: what it must hold of what stands there."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import structlog

from reevd import record
from reevd.journal import LOST, Journal, line_of
from reevd.model import Decision, Execution
from reevd.schema import COLUMNS
from reevd.store import Store
from reevd.successor import Successor, longer

SLICE = 4 << 20  # at each look, twice a second: a million results in a quarter of an hour
FIRST: tuple[Any, ...] = ("", "", 0)
DECISIONS = "SELECT * FROM decisions WHERE (execution_id, kind) > (?, ?) ORDER BY execution_id, kind"
ENDED = f"SELECT change, {COLUMNS} FROM execution_states WHERE deadline_at IS NULL AND change > ? ORDER BY change"

log = structlog.get_logger("reevd.transcript")


def transcript(store: Store, after: tuple[Any, ...] = FIRST) -> Generator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Decisions and what has ended, as records, each with what to give as `after` to go on behind it.

    Close it: while it stands, it keeps the log from being moved. Raises apsw.Error.
    """
    with contextlib.closing(store.db.cursor()) as cursor:
        execution_id, kind, change = after
        if not change:
            for made in map(Decision._make, cursor.execute(DECISIONS, (execution_id, kind))):
                yield (made.execution_id, made.kind, 0), record.decision(made)
        for number, *row in cursor.execute(ENDED, (change,)):
            yield ("", "", number), record.result(Execution._make(row))


class Transcript:
    """`step` until `done`. Raises OSError and apsw.Error as the disk does: then `abandon` it, and begin another.

    What the journal is given meanwhile comes behind what was written before it.
    """

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal, self._store, self._new = journal, store, Successor(journal)
        journal.copy_to(self._new.descriptor)
        self._after, self._slice, self._last = FIRST, SLICE, store.change
        self.done = False

    def step(self) -> None:
        """Writes the next slice; after the last one it stands in the journal's place."""
        if not self._journal.copied:
            raise OSError(f"{self._new.path} lacks what came meanwhile")
        lines = bytearray()
        with contextlib.closing(transcript(self._store, self._after)) as records:
            for self._after, each in records:
                lines += line_of(each)
                if len(lines) >= self._slice:
                    self._new.write(lines)
                    if self._after[-1] > self._last:  # what changes meanwhile moves to the end
                        self._slice = longer(self._slice)
                    return
        self._new.write(lines)
        self._new.take_place(self._store, LOST)
        self.done = True
        log.info("journal made anew from the database", journal=self._journal.path, bytes=self._journal.size)

    def abandon(self) -> None:
        self._journal.copy_to(None)
        self._new.discard()
