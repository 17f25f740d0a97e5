"""The database, its journal and the look at its health, held together: opened, checked, made anew."""

from __future__ import annotations

import contextlib
import os

import apsw
import structlog

from reevd import restore, schema
from reevd.checkpoint import Checkpoint
from reevd.clock import Clock
from reevd.database import DAMAGED
from reevd.derive import Limits
from reevd.inspection import Inspection
from reevd.journal import Journal
from reevd.memory import give_back
from reevd.reconciler import Reconciler, StoringError
from reevd.rewriting import Rewriting
from reevd.room import shortages
from reevd.store import Store

# The log is moved into the database once it has so many bytes: while there is work, and between two works.
# At rest, it is moved whatever it has; before, each move would keep somebody's new file waiting.
BUSY_WAL_BYTES, CALM_WAL_BYTES = 64 << 20, 32 << 20
# From so many bytes on, it is moved beside the work, again and again while as many came meanwhile. With so many, the
# work waits for that, since the disk is slower than the work: so many seconds at a time.
BESIDE_WAL_BYTES, MOST_WAL_BYTES, WAIT_SECONDS = 4 << 20, 256 << 20, 0.5
REST_LOOKS = 4

log = structlog.get_logger("reevd.books")


class Books:
    """What reevd knows. `store` and `reconciler` are others after `start_over`.

    lost: why there is no database at the moment, once one could not be made anew; try `start_over` again

    Raises SchemaError where the database is newer than this reevd.
    """

    def __init__(self, database: str, clock: Clock, limits: Limits, vfs: str | None = None) -> None:
        self.path, self._clock, self.limits, self._vfs = os.path.realpath(database), clock, limits, vfs
        self.lost: str | None = None
        self._looks, self._logged = 0, 0
        self._long = False  # all of the log may be moved, and its file keep its space
        self.journal = Journal(self.path + ".journal")
        self._rewriting = Rewriting(self.journal)
        try:
            self._open()
        except BaseException:
            self.journal.close()  # or each try to open the database would leave a descriptor
            raise

    def _open(self) -> None:
        try:
            self._open_as_it_is()
        except DAMAGED as error:
            log.error("database is damaged", database=self.path, error=str(error))
            restore.move_aside(self.path, self._clock.now())
            self._open_as_it_is()

    def _open_as_it_is(self) -> None:
        with contextlib.ExitStack() as opened:
            store = Store(self.path, self._vfs)
            opened.callback(store.close)
            checkpoint = Checkpoint(self.path, self._vfs)
            opened.callback(checkpoint.close)
            restore.renumber(store, self._clock)
            restore.replay(store, self.journal, self._clock.now())
            restore.align(store, self._clock)
            reconciler = Reconciler(store, self.journal, self.limits)
            self._inspection = Inspection(self.path, self._vfs)
            opened.pop_all()
        self.store, self.reconciler, self._checkpoint = store, reconciler, checkpoint

    def tune(self, limits: Limits) -> None:
        self.limits = self.reconciler.limits = limits

    def compact(self, *, removed: int) -> None:
        """So many executions were removed: the journal is to be without them some time."""
        self.reconciler.catch_up()
        self._rewriting.compact(self.store, removed=removed)

    def inspect(self) -> None:
        """Has the whole database read, once: what is found, `check` tells."""
        self._inspection.begin()

    def suspect(self) -> None:
        """A reader met damage: has the whole database read once more, where that is not being done."""
        if self.lost is None and not self._inspection.under_way and not self._inspection.damage:
            self._inspection.close()
            self._inspection = Inspection(self.path, self._vfs)
            self._inspection.begin()

    def check(self) -> bool:
        """Whether the clock was set since. Raises apsw.CorruptError for a damaged database, or one that was moved."""
        if damage := self._inspection.damage or self.store.damage:
            raise apsw.CorruptError(damage)
        if self.store.moved:
            raise apsw.CorruptError("it was renamed or removed: what is written to it, nobody sees")
        self.reconciler.catch_up()
        self._rewriting.look(self.store)
        before = self._clock.base
        jumped = self._clock.step() != 0
        if jumped:
            try:
                restore.align(self.store, self._clock)
            except apsw.Error:
                self._clock.base = before  # it is followed once the deadlines are: at the next look
                raise
        return jumped

    def tidy(self, *, idle: bool) -> None:
        """To be called again and again: moves the log into the database, at rest gives back its space and memory."""
        self.reconciler.catch_up()
        self._rewriting.step(self.store)
        logged = self.store.wal_bytes
        self._looks = self._looks + 1 if idle and logged == self._logged else 0
        self._logged = logged
        much = logged > (CALM_WAL_BYTES if idle else BUSY_WAL_BYTES)
        any_left = self._resting and (logged or self._long)
        if (much or any_left) and not self._checkpoint.begun:
            self._begin_moving(logged)

    @property
    def _resting(self) -> bool:
        return self._looks >= REST_LOOKS

    def _begin_moving(self, left: int) -> None:
        if left <= BESIDE_WAL_BYTES or not self._checkpoint.begin():
            self._move()

    def finish(self) -> bool:
        """To be called in every round, before anything is stored: goes on with what was begun beside the work.

        Returns whether more may be stored. Raises apsw.Error, as the disk did.
        """
        if not self._checkpoint.begun:
            return True
        full = self.store.wal_bytes > MOST_WAL_BYTES
        if not self._checkpoint.wait(WAIT_SECONDS if full else 0):
            return not full
        moved = self._checkpoint.end()
        if moved is not None:  # else a reader needs what is in the log: another time
            self._begin_moving(self.store.wal_bytes - moved * self.store.page)
        return not (full and self._checkpoint.begun)

    def _move(self) -> None:
        """What is in the log, or left there."""
        self._long = not (self.store.checkpoint(truncate=self._resting) and self._resting)
        if self._resting:
            give_back()

    def shortages(self, sessions: str) -> list[str]:
        """What is short on the disks of the database and of that folder, or is missing there, as sentences."""
        spoilt = [] if self.journal.intact else [f"{self.journal.path} is not as it was left: it is being made anew"]
        try:
            log_bytes = os.path.getsize(self.path + "-wal") if self.store.wal_bytes else 0
            return spoilt + shortages((os.path.dirname(self.path), sessions), log_bytes)
        except OSError as error:
            return [*spoilt, f"the room on the disks cannot be told: {error}"]

    def probe(self) -> None:
        """Writes to the database, through to the disk. Raises StoringError or apsw.Error while that fails."""
        if not self._checkpoint.wait(WAIT_SECONDS):
            raise StoringError("the log is still being moved into the database")
        self._checkpoint.end()
        self._rewriting.abandon()  # what it has written so far may be the room that is missing
        schema.check(self.store.db)
        self.store.note("probed_at", self._clock.now())
        self.store.checkpoint(truncate=False)

    def start_over(self, reason: str) -> None:
        """Moves what is left of the database aside, and makes it anew from the journal; a scan must follow.

        Raises apsw.Error or OSError where the disk does not let it; `lost` says so until it worked.
        """
        self._rewriting.abandon()
        if self.lost is None:
            log.error("database is damaged: making it anew", database=self.path, error=reason)
            moved = self.store.moved
            self._close()
            self.lost = reason
            # Another database may stand there by now; a log of the old one would be taken for its own.
            restore.move_aside(self.path, self._clock.now(), log_alone=moved)
        self._open()
        self.lost = None

    def close(self) -> None:
        self._rewriting.abandon()
        self.journal.close()
        if self.lost is None:
            self._close()

    def _close(self) -> None:
        self._inspection.close()
        self._checkpoint.close()
        self.store.close()
