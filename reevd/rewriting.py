"""The journal, rewritten beside the work: without what was removed, or made anew from what the database holds."""

from __future__ import annotations

import contextlib
import os

import apsw
import structlog

from reevd.compaction import Compaction
from reevd.database import DAMAGED
from reevd.journal import LOST, Journal
from reevd.store import Store
from reevd.successor import NEW
from reevd.transcript import Transcript

RETRY_TICKS = 10
NORMAL, FULL = 1, 2  # of SQLite's synchronous
COMPACT_FROM = 4  # a quarter of what stands: then rewriting it all costs little for each that went
# From so many bytes on it is made anew where it holds so many times what is in it once: results that came again.
OVERGROWN, TIMES = 64 << 20, 2

log = structlog.get_logger("reevd.rewriting")


class Rewriting:
    """`look` at each tick, `step` often. Both raise apsw.Error as the database's disk does."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._work: Compaction | Transcript | None = None
        self._ticks = self._retry_at = 0
        self._made = self._removed = 0  # its size when it was last made anew; whom a compaction leaves out
        with contextlib.suppress(OSError):  # of a rewriting that was killed: it may be the room that is missing
            os.unlink(journal.path + NEW)

    def compact(self, store: Store, *, removed: int) -> None:
        """Wants the journal without what was removed, once that is a good part of it."""
        total = self._count(store, removed)
        (standing,) = store.rows("SELECT count(*) FROM execution_states")[0]
        # What is spoilt is to be made anew: compacted, it would pass for whole.
        worth_it = self._work is None and self._journal.intact and total * COMPACT_FROM > standing
        if worth_it:
            try:
                self._work, self._removed = Compaction(self._journal, store), total
            except OSError as error:
                log.warning("journal cannot be compacted", error=str(error), retry="when more were removed")

    def _count(self, store: Store, more: int) -> int:
        """How many were removed of whom the journal still tells."""
        told = store.meta("removed")
        total = max(0, (told if isinstance(told, int) else 0) + more)
        store.note("removed", total)
        return total

    def look(self, store: Store) -> None:
        """Begins to make it anew where somebody changed it, or it has grown out of all proportion."""
        self._ticks += 1
        intact, may = self._journal.intact, self._ticks >= self._retry_at
        if intact and (self._work is not None or not may or not self._overgrown(store)):
            return
        told = self._journal.known == LOST and store.db.pragma("synchronous") == FULL
        if not intact and told and (isinstance(self._work, Transcript) or not may):
            return
        self._retry_at = self._ticks + RETRY_TICKS
        self.abandon()
        if not intact:
            log.error("journal was removed, replaced or changed: making it anew", journal=self._journal.path)
            self._journal.spoil()
            # Until it is whole, whoever is killed finds that it is not, and what is stored is on the disk at once.
            store.note("journal_size", self._journal.known, durably=True)
            store.db.pragma("synchronous", FULL)
        try:
            self._work = Transcript(self._journal, store)
        except OSError as error:
            log.warning("journal cannot be made anew", error=str(error), retry="in a while")

    def _overgrown(self, store: Store) -> bool:
        """All that it holds stands in the database too, which takes more room for it."""
        size = self._journal.size
        if size <= max(OVERGROWN, TIMES * self._made):
            return False
        pages: int = store.db.pragma("page_count") - store.db.pragma("freelist_count")
        return size > TIMES * pages * store.page

    def step(self, store: Store) -> None:
        """Goes on with what was begun."""
        if self._work is None:
            return
        try:
            self._work.step()
        except DAMAGED:
            self.abandon()
            raise
        except (OSError, apsw.Error, UnicodeDecodeError) as error:  # the last for a text that is damaged
            log.warning("rewriting the journal given up", error=str(error), retry="in a while, where it is needed")
            self.abandon()
            if self._journal.intact:
                store.db.pragma("synchronous", NORMAL)
            return
        if self._work.done:
            anew = isinstance(self._work, Transcript)
            self._made = self._journal.size if anew else min(self._made, self._journal.size)
            self._work, self._retry_at = None, 0
            store.db.pragma("synchronous", NORMAL)
            if not anew:
                self._count(store, -self._removed)

    def abandon(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.abandon()
