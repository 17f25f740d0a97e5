"""The database, its journal and the look at its health, held together: opened, checked, made anew."""

from __future__ import annotations

import apsw
import structlog

from reevd import restore
from reevd.clock import Clock
from reevd.derive import Limits
from reevd.inspection import Inspection
from reevd.journal import Journal
from reevd.reconciler import Reconciler

log = structlog.get_logger("reevd.books")


class Books:
    """What reevd knows. `store` and `reconciler` are others after `start_over`.

    Raises SchemaError where the database is newer than this reevd.
    """

    def __init__(self, database: str, clock: Clock, limits: Limits, vfs: str | None = None) -> None:
        self.path, self._clock, self.limits, self._vfs = database, clock, limits, vfs
        self.journal = Journal(database + ".journal")
        self._open()

    def _open(self) -> None:
        self.store = restore.open_store(self.path, self._clock.now(), self._vfs)
        restore.replay(self.store, self.journal, self._clock.now())
        restore.align(self.store, self._clock)
        self.reconciler = Reconciler(self.store, self.journal, self.limits)
        self._inspection = Inspection(self.path, self._vfs)

    def tune(self, limits: Limits) -> None:
        self.limits = self.reconciler.limits = limits

    def check(self) -> None:
        """Raises apsw.CorruptError where the database was found damaged, or is no longer where it was."""
        if self._inspection.damage:
            raise apsw.CorruptError(self._inspection.damage)
        if self.store.moved:
            raise apsw.CorruptError("it was renamed or removed: what is written to it, nobody sees")
        if self._clock.step():
            restore.align(self.store, self._clock)

    def start_over(self, error: apsw.Error) -> None:
        """Moves what is left of the database aside, and makes it anew from the journal; a scan must follow."""
        log.error("database is damaged: making it anew", database=self.path, error=str(error))
        moved = self.store.moved
        self._inspection.close()
        self.store.close()
        if not moved:
            restore.move_aside(self.path, self._clock.now())
        self._open()

    def close(self) -> None:
        self._inspection.close()
        self.journal.close()
        self.store.close()
