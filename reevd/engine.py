"""The loop that keeps the database true to the folder: take what is due, look, store, for ever.

`step` does one round and says how long to sleep. Events shorten the sleep; nothing depends on them.
"""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable

import apsw
import structlog

from reevd.background import Background
from reevd.books import Books
from reevd.bounds import DEFAULT_BOUNDS, DEFAULT_PACE, Bounds, Pace
from reevd.change import Change
from reevd.clock import Clock
from reevd.database import DAMAGED
from reevd.derive import DEFAULT_LIMITS, Limits
from reevd.health import Health
from reevd.lookout import Lookout
from reevd.model import Decision
from reevd.patrol import Patrol
from reevd.reconciler import StoringError
from reevd.rescan import ids
from reevd.store import Store
from reevd.survey import Survey
from reevd.times import SECOND, rfc3339

TICK = RETRY = SECOND // 2
# Readers keep the one that was, as long as it lets them: in a new one, much would seem to have vanished.
REMADE = "the database is made anew from the files and the journal: what is shown is what stood before"

log = structlog.get_logger("reevd.engine")


class Engine:
    """One folder, one database, one thread.

    poll      what to sleep on: ready when there is news; others may register what they wait for too
    patrol    what is looked at, decided and stored
    books     what it is stored in
    replaced  called when the database is another file than before, and says all that the folder says
    """

    def __init__(
        self,
        folder: str,
        database: str,
        *,
        limits: Limits = DEFAULT_LIMITS,
        bounds: Bounds = DEFAULT_BOUNDS,
        pace: Pace = DEFAULT_PACE,
        clock: Clock | None = None,
        vfs: str | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.replaced: Callable[[], None] = lambda: None
        self._pace, self._survey, self._reasons = pace, Survey(), dict[str, str]()
        self._next_tick = self._retry_at = 0
        self._background = Background()
        with contextlib.ExitStack() as opened:  # who tries again and again must leave nothing open
            self.poll = opened.enter_context(select.epoll())
            self.books = opened.enter_context(contextlib.closing(Books(database, self.clock, limits, vfs)))
            self._lookout = Lookout(folder, self.poll)
            opened.pop_all()
        self.patrol = Patrol(self.books, self.clock, self._lookout.folder, bounds, lambda: bool(self.poll.poll(0, 1)))

    def tune(self, limits: Limits, bounds: Bounds, pace: Pace) -> None:
        """Takes other settings from the next round on."""
        self._pace = pace
        self.books.tune(limits)
        self.patrol.tune(bounds)
        self._survey.wanted = True

    def close(self) -> None:
        self._background.close()
        self.patrol.close()
        self._lookout.close()
        self.books.close()
        self.poll.close()

    @property
    def store(self) -> Store:
        """The database; another one after it was made anew."""
        return self.books.store

    def rescan(self) -> int:
        """Wants a full scan as soon as can be. Returns what `scans` will have reached once it is done."""
        return self._survey.promise()

    def decide(self, *made: Decision) -> None:
        """Makes decisions durable, with what they make of their executions, before it returns.

        Raises StoringError, and apsw.Error for a damaged database: the next step makes it anew.
        """
        if why := self._reasons.get("database") or self._reasons.get("remade"):
            raise StoringError(why)
        self.patrol.decide(*made)

    def settle(self) -> None:
        """Works until nothing is left to do at once. Raises StoringError where the disk fails."""
        self.rescan()
        while self.step() == 0 or not self.idle:
            if why := self._reasons.get("database"):
                raise StoringError(why)

    @property
    def ready(self) -> bool:
        """Whether the first full scan is stored: from then on deadlines are judged."""
        return self.patrol.judges

    @property
    def idle(self) -> bool:
        """Whether no news waits and no scan is under way."""
        return self.patrol.next_at() != 0 and not self._survey.under_way and not self._survey.wanted

    @property
    def scans(self) -> int:
        """How many full scans have ended since the start."""
        return self._survey.done

    @property
    def problems(self) -> int:
        return len(self.books.reconciler.problems)

    def health(self) -> Health:
        last, short = self._survey.last, self.books.shortages(self._lookout.path)
        told = (self._lookout.reason, self.patrol.refused(self.clock.now()), *self._reasons.values(), *short)
        return Health(
            mode="inotify" if self._lookout.watching else "poll",
            pending=self.patrol.pending,
            last_rescan_at=rfc3339(last.ended_at) if last.ended_at else None,
            last_rescan_seconds=last.took / SECOND if last.ended_at else None,
            scanned=self._survey.entries,
            stale="database" in self._reasons,
            overflows=self._lookout.losses,
            reasons=list(filter(None, told)),
        )

    def step(self) -> float:
        """One round. Returns the seconds until the next is due; an event may call for it sooner."""
        now = self.clock.now()
        try:
            self._take_news()
            if "database" not in self._reasons or (now >= self._retry_at and self._recovered()):
                self._background.do(self._work, now, patiently=self.patrol.laden)
        except StoringError as error:
            self._fail(error, now)
        except DAMAGED as error:
            self._start_over(str(error), now)
        except apsw.Error as error:
            self._fail(StoringError(str(error) or type(error).__name__), now)
        return self._pause(self.clock.now())

    def _work(self, now: int) -> None:
        self.patrol.step(now)
        self._take_news()  # before the kernel's queue is full: scanning takes its time too
        self._go_on_scanning(now)
        if not self.ready and self.scans and self.idle:
            self.patrol.judges = True
            log.info("ready", folder=self._lookout.path, scanned=self._survey.last.entries)
            if self._reasons.pop("remade", None):
                self.replaced()
        if now >= self._next_tick:
            self._next_tick = now + TICK
            self._tick(now)

    def _pause(self, now: int) -> float:
        if "database" in self._reasons:
            return max(0, self._retry_at - now) / SECOND
        due = 0 if self._survey.under_way else self.patrol.next_at()
        return max(0, min(self._next_tick, self._next_tick if due is None else due) - now) / SECOND

    def _take_news(self) -> None:
        """Notes what is to be looked at. Also while the disk fails: news wake us."""
        news = self._lookout.take()
        if news.replaced:
            self.patrol.restart(self._lookout.folder)
            self._survey.restart()
        self._survey.wanted |= news.lost
        self.patrol.agenda.add(news.ids, news.sessions)
        self.patrol.odd.update(news.odd)

    def _go_on_scanning(self, now: int) -> None:
        until = 2 * self.clock.now() - now  # as long as the looks took: in turn with them, and not in their way
        folder, agenda, busy = self._lookout.folder, self.patrol.agenda, self.patrol.busy
        asked = self.patrol.asked if self._lookout.watching else dict  # another host may have stamped the files
        try:
            scan = self._survey.step(
                folder, self.store, agenda, now, busy=busy, asked=asked, clock=self.clock.now, until=until
            )
        except OSError as error:
            self._survey.put_off(now + RETRY)
            self._reasons["scan"] = f"the sessions folder cannot be scanned: {error}"
            return
        if scan:
            gone = tuple(path for path in self.books.reconciler.problems - scan.odd.keys() if not ids((path,)))
            self.books.reconciler.store([Change("", problems=tuple(scan.odd.values()), solved=gone)], now)
            self._survey.end(self.clock.now())
            self._reasons.pop("scan", None)

    def _tick(self, now: int) -> None:
        self._lookout.check()
        if self.books.check():
            self._forget_times()
        self._survey.tick(now, int((self._pace.rescan if self._lookout.watching else self._pace.poll) * SECOND))
        if self.ready:
            self.books.inspect()  # not sooner: it takes the disk's time, and somebody waits for the first scan
            self.patrol.hasten(now)
        self.books.tidy(idle=self.idle)

    def _forget_times(self) -> None:
        """The clock was set: what was put off until a time on the old one is due now."""
        self._next_tick = self._retry_at = 0
        self.patrol.hurry()
        self._survey = Survey(self._survey.done + self._survey.under_way)
        self.patrol.restart(self._lookout.folder)

    def _fail(self, error: StoringError, now: int) -> None:
        """The disk failed: readers go on seeing the last commit, and what was not stored is looked at anew."""
        self._retry_at = now + RETRY
        self._survey.restart()
        if "database" not in self._reasons:
            log.error("storing failed", database=self.books.path, error=str(error), retry="until it works")
        self._reasons["database"] = f"storing fails ({error}): what is shown is the last that could be stored"

    def _recovered(self) -> bool:
        """Whether the disk takes writes again."""
        if self.books.lost:
            self._start_over(self.books.lost, self.clock.now())
            return False
        self.books.probe()
        del self._reasons["database"]
        log.info("storing works again", database=self.books.path)
        return True

    def _start_over(self, reason: str, now: int) -> None:
        try:
            self.books.start_over(reason)
        except (apsw.Error, OSError) as error:
            self._fail(StoringError(f"{reason}; making it anew: {error or type(error).__name__}"), now)
            return
        self._reasons.pop("database", None)
        self.patrol.restart(self._lookout.folder)
        self._survey.restart()
        self.patrol.judges = False
        self._reasons["remade"] = REMADE
