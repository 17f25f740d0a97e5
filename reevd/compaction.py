"""Compaction of the journal: a new one without the records of executions that were removed, a slice at a time."""

from __future__ import annotations

from typing import Any

import structlog

from reevd.journal import Journal, line_of, record_of
from reevd.record import forgotten, ids_of
from reevd.store import Store
from reevd.successor import Successor, longer

SLICE = 1 << 20
STANDING = """
SELECT value FROM json_each(?1) WHERE value IN (SELECT execution_id FROM execution_states)
OR value IN (SELECT execution_id FROM decisions)
"""

log = structlog.get_logger("reevd.compaction")


class Compaction:
    """`step` until `done`. Raises OSError and apsw.Error as the disk does: then `abandon` it, and all is as before."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal, self._store, self._new = journal, store, Successor(journal)
        self._at, self._slice, self._last = 0, SLICE, journal.size
        self.done = False

    def step(self) -> None:
        """Copies the next slice; after the last one the new journal stands in the old one's place."""
        lines, self._at = self._journal.lines(self._at, self._slice)
        if self._at > self._last:
            self._slice = longer(self._slice)
        records = list(map(record_of, lines))
        if None in records:
            self._journal.spoil()
            raise OSError(f"{self._journal.path} holds a damaged line")
        # Of who is removed meanwhile, what was copied before stands in the new one too: that he went must follow it.
        whole = [(line, record) for line, record in zip(lines, records, strict=True) if record is not None]
        self._new.write(self._kept(whole, late=self._at > self._last))
        if self._at == self._journal.size:
            self._finish()

    def _kept(self, records: list[tuple[bytes, dict[str, Any]]], *, late: bool) -> bytearray:
        ids = sorted({execution_id for _, record in records for execution_id in ids_of(record)})
        text = "[" + ",".join(f'"{execution_id}"' for execution_id in ids) + "]"  # ids hold nothing to be escaped
        standing = {row[0] for row in self._store.rows(STANDING, (text,))}
        kept = bytearray()
        for line, record in records:
            gone = "forgotten" in record
            named = [i for i in ids_of(record) if i in standing or (gone and late)]
            if named:
                kept += line_of(forgotten(named)) if gone else line
        return kept

    def _finish(self) -> None:
        before = self._journal.size
        # Cut short, the next start replays all of whichever journal it finds; rows that stand stay.
        self._new.take_place(self._store, 0)
        self.done = True
        log.info("journal compacted", before=before, after=self._journal.size)

    def abandon(self) -> None:
        self._new.discard()
