"""Retention: what ended long ago goes, first its files, then all that is known of it.

Cut short at any moment, the next pass ends what this one began. What has not ended stays, however old, and so does
what changed since it was last read.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import apsw
import structlog

from reevd.engine import Engine
from reevd.feed.outbox import OUTBOX, untold
from reevd.reconciler import StoringError
from reevd.times import SECOND, rfc3339

PASS_SECONDS = 3600.0
RETRY_SECONDS = 5.0
DAY = 86_400 * SECOND
BATCH = 200
MOST_TOLD, MOST_LINES = 100, 10
OLD = """
SELECT created_at, execution_id FROM execution_states
WHERE created_at < ?1 AND (created_at, execution_id) > (?2, ?3) AND deadline_at IS NULL
AND coalesce(ended_at, updated_at) < ?1
ORDER BY created_at, execution_id LIMIT ?4
"""

log = structlog.get_logger("reevd.retention")


class Kept(NamedTuple):
    """An execution that should have gone, and why it did not."""

    execution_id: str
    why: str


class Pass:
    """One walk over all that ended before `cutoff` (RFC 3339). A dry one removes nothing.

    removed: executions; first: the oldest of them; bytes: of their files; kept: those that could not be removed;
    done: at the end; untold: those removed that somebody was still to be told of
    """

    def __init__(self, cutoff: str, *, dry: bool = False) -> None:
        self.cutoff, self.dry = cutoff, dry
        self.removed = self.bytes = 0
        self.kept: list[Kept] = []
        self.first: list[str] = []
        self.untold: list[str] = []
        self.done = False
        self._at = ("", "")

    def step(self, engine: Engine) -> None:
        """The next batch. Raises apsw.Error, StoringError and OSError as the disk does; then it may be tried again."""
        rows = engine.store.rows(OLD, (self.cutoff, *self._at, BATCH))
        ids = [execution_id for _, execution_id in rows]
        waiting = [] if self.dry else untold(engine.store.path + OUTBOX, ids)
        removal = engine.patrol.remove(ids, dry=self.dry)
        self.removed += len(removal.executions)
        self.first += removal.executions[: MOST_TOLD - len(self.first)]
        self.untold += [execution_id for execution_id in waiting if execution_id not in removal.kept]
        self.bytes += removal.bytes
        self.kept += [Kept(*each) for each in removal.kept.items()]
        if rows:
            self._at = rows[-1]
        self.done = len(rows) < BATCH

    def told(self) -> dict[str, Any]:
        return {
            "before": self.cutoff,
            "dry_run": self.dry,
            "executions": self.removed,
            "execution_ids": self.first,
            "bytes": self.bytes,
            "kept": [each._asdict() for each in self.kept[:MOST_TOLD]],
            "kept_count": len(self.kept),
        }


class Retention:
    """Passes over the database: every hour where `days` is more than 0, and whenever one is asked for.

    removed: how many executions went since the start; untold: how many of them before all were told of them
    """

    def __init__(self, engine: Engine, days: float) -> None:
        self._engine, self.days, self.removed, self.untold = engine, days, 0, 0
        self._passes: list[Pass] = []
        self._due_at = 0.0

    def cutoff(self, days: float) -> str:
        return rfc3339(max(0, self._engine.clock.now() - int(days * DAY)))

    def start(self, days: float, *, dry: bool) -> Pass:
        """A pass that the next steps make."""
        self._passes.append(Pass(self.cutoff(days), dry=dry))
        return self._passes[-1]

    def step(self) -> float:
        """A batch of the pass under way. Returns the seconds until the next is due."""
        now = time.monotonic()
        if not self._engine.ready:
            return RETRY_SECONDS
        if self.days and now >= self._due_at and not self._passes:
            self._due_at = now + PASS_SECONDS
            self.start(self.days, dry=False)
        if not self._passes:
            return max(0.0, self._due_at - now) if self.days else PASS_SECONDS
        under_way = self._passes[0]
        try:
            under_way.step(self._engine)
            if under_way.done and not under_way.dry and under_way.removed:
                self._engine.books.compact(removed=under_way.removed)
        except (StoringError, apsw.Error, OSError) as error:
            log.warning("retention waits", error=str(error) or type(error).__name__)
            return RETRY_SECONDS
        if under_way.done:
            self.removed += 0 if under_way.dry else under_way.removed
            self.untold += len(under_way.untold)
            del self._passes[0]
            said = "removed before all were told of it"
            for execution_id in under_way.untold[:MOST_LINES]:
                log.warning(said, execution_id=execution_id, hint="a longer retention_days")
            if (others := len(under_way.untold) - MOST_LINES) > 0:
                log.warning(f"{said}, others too", count=others)
            if under_way.removed or under_way.kept:
                told = under_way.told()
                del told["execution_ids"]
                log.info("retention", **told)
        return 0.0
