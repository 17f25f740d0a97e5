"""Compaction of the journal: a new one without the records of executions that were removed, a slice at a time."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import structlog

from reevd.journal import Journal, line_of, record_of
from reevd.store import Store
from reevd.transcript import NEW, take_place

SLICE = 1 << 20
STANDING = """
SELECT value FROM json_each(?1) WHERE value IN (SELECT execution_id FROM execution_states)
OR value IN (SELECT execution_id FROM decisions)
"""

log = structlog.get_logger("reevd.compaction")


class Compaction:
    """`step` until `done`. Raises OSError and apsw.Error as the disk does: then `abandon` it, and all is as before."""

    def __init__(self, journal: Journal, store: Store) -> None:
        self._journal, self._store = journal, store
        self._path = journal.path + NEW
        self._new = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._at = 0
        self.done = False

    def step(self) -> None:
        """Copies the next slice; after the last one the new journal stands in the old one's place."""
        lines, self._at = self._journal.lines(self._at, SLICE)
        records = list(map(record_of, lines))
        if None in records:
            self._journal.spoil()
            raise OSError(f"{self._journal.path} holds a damaged line")
        kept = self._kept([record for record in records if record is not None])
        if kept and os.write(self._new, kept) != len(kept):
            raise OSError(f"{self._path} could not be written whole")
        if self._at == self._journal.size:
            self._finish()

    def _kept(self, records: list[dict[str, Any]]) -> bytes:
        ids = sorted({execution_id for record in records for execution_id in _ids(record)})
        text = "[" + ",".join(f'"{execution_id}"' for execution_id in ids) + "]"  # ids hold nothing to be escaped
        standing = {row[0] for row in self._store.rows(STANDING, (text,))}
        kept = bytearray()
        for record in records:
            if "forgotten" in record:
                record = {"forgotten": [i for i in record["forgotten"] if i in standing]}
            if standing.intersection(_ids(record)):
                kept += line_of(record)
        return bytes(kept)

    def _finish(self) -> None:
        before = self._journal.size
        os.fsync(self._new)
        # Cut short, the next start replays all of whichever journal it finds; rows that stand stay.
        take_place(self._journal, self._store, self._path, 0)
        os.close(self._new)
        self.done = True
        log.info("journal compacted", before=before, after=self._journal.size)

    def abandon(self) -> None:
        os.close(self._new)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _ids(record: dict[str, Any]) -> list[str]:
    if "forgotten" in record:
        return list(record["forgotten"])
    return [record["decision" if "decision" in record else "result"]["execution_id"]]
