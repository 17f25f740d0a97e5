"""Goes to the executions that are to be looked at, a batch at a time, and has stored what it finds there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping, Sequence

from reevd.agenda import Agenda
from reevd.books import Books
from reevd.bounds import Bounds
from reevd.change import NO_FIRST_LOOKS, Change, FirstLooks
from reevd.clock import Clock
from reevd.files import Folder
from reevd.first_look import Request
from reevd.look import NONE_MADE
from reevd.model import Decision
from reevd.readahead import ReadAhead
from reevd.reader import Reader
from reevd.removal import Removal, remove
from reevd.rescan import odd_name
from reevd.statements import LATE
from reevd.times import SECOND, rfc3339

BATCH = 512
# From so many on, another process is worth its start.
BACKLOG = 3 * BATCH
# From so many on, it may be done behind others.
PILE = BATCH
# Of a pile, so many are taken at first. More, up to a batch, while they take less than `LONG` microseconds, else fewer:
# where nobody else leaves room, or the disk is slow, whoever decides would wait for all of a batch.
FEWEST, LONG = 8, SECOND // 2
# By so many looks the engine's share grows where it waited longer than so many seconds for the others, else it shrinks.
STEP, WAITED = 16, 0.002
# Second looks give way so many times in a row: who always does is never done.
PATIENCE = 4
REFUSED_FOR = SECOND


class Patrol:
    """One folder's rounds.

    agenda    what is to be looked at, and when
    changed   called with the ids of executions whose rows changed, after each commit
    measure   called with the seconds from each changed file to its commit, and those of the transaction
    held      executions whose runner is about to be started, or was and lives: silence says nothing of them
    judges    whether it gives up what is overdue
    written   how many rows were stored since the start
    odd       names without a valid id, which are to be told

    Raises StoringError, and apsw.Error for a damaged database: what was to be looked at is so still.
    """

    def __init__(
        self, books: Books, clock: Clock, folder: Folder, bounds: Bounds, urgent: Callable[[], bool] = bool
    ) -> None:
        """`urgent`: whether something has come that goes before second looks."""
        self._books, self._clock, self._folder, self._urgent = books, clock, folder, urgent
        self._reader, self._ahead = Reader(folder, bounds), ReadAhead(folder.descriptor)
        self._refused: str | None = None
        self._refused_at = self._share = 0
        self._most = FEWEST
        self.agenda = Agenda()
        self.changed: Callable[[list[str]], None] = lambda _ids: None
        self.measure: Callable[[list[float], float], None] = lambda _latencies, _transaction: None
        self.held: Container[str] = ()
        self.judges, self.written, self._gave_way = False, 0, 0
        self._tuned = True  # the settings may be others than those of the daemon before
        self.odd: set[bytes] = set()

    @property
    def bounds(self) -> Bounds:
        return self._reader.bounds

    def tune(self, bounds: Bounds) -> None:
        """Other limits are in force too: whoever is silent would keep the deadline of before."""
        self._reader.bounds, self._tuned = bounds, True

    @property
    def busy(self) -> bool:
        """Whether so much waits that another process is worth it, or keeps it going."""
        return self.agenda.fresh >= (BATCH if len(self._ahead) else BACKLOG)

    @property
    def pending(self) -> int:
        """How many executions are to be looked at, now or later."""
        return len(self.agenda) + len(self._ahead)

    def asked(self) -> dict[str, int]:
        """Executions that another process looks at just now, with when it was asked, nanoseconds."""
        return self._ahead.asked

    @property
    def laden(self) -> bool:
        """Whether so much waits, second looks too, that whoever asks meanwhile should come first."""
        return self.pending >= PILE

    def next_at(self) -> int | None:
        """When there is something to do: 0 for at once, None for never."""
        return 0 if len(self._ahead) else self.agenda.next_at()

    def hasten(self, now: int) -> None:
        """Those whose deadline has come and those who hold a lock are looked at soon; once tuned, whose is too late."""
        store = self._books.store
        ids = [*store.locked(), *store.due(rfc3339(now))]
        if self._tuned:
            self._tuned, ids = False, [*ids, *(row[0] for row in store.rows(LATE, self._books.limits))]
        for execution_id in ids:
            self.agenda.add_later(execution_id, 0)  # a burst must not keep them waiting, nor second looks

    def close(self) -> None:
        self._ahead.close()

    def restart(self, folder: Folder) -> None:
        """Forgets what was read: the folder, the database or the clock is another one."""
        self._recall()
        self._folder, self._reader = folder, Reader(folder, self.bounds)
        self._ahead = ReadAhead(folder.descriptor)

    def _recall(self) -> None:
        """What is looked at ahead is to be looked at as if nobody had begun."""
        self.agenda.add(self._ahead.close())

    def hurry(self) -> None:
        """What was put off is due now."""
        self.agenda.hurry()
        self._refused_at = 0

    def refused(self, now: int) -> str | None:
        """Why files could not be opened lately, where the host is to blame. They are tried again, at times."""
        return self._refused if now <= self._refused_at + REFUSED_FOR else None

    def step(self, now: int) -> None:
        """Looks at a batch of what is due; where there is much, another process looks at the next one meanwhile."""
        if not self._books.finish():
            return
        began, laden = self._clock.now(), self.laden
        most = min(BATCH, self._most) if laden else BATCH
        if self.odd:
            self._books.reconciler.store([Change("", problems=tuple(map(odd_name, self.odd)))], now)
            self.odd.clear()
        asked, ahead = self._ahead.answer(now)
        batch, alone = list[str](), set[str]()
        if asked:
            # Whoever would wait for the other takes a share of its looks.
            self._share = max(0, min(most, self._share + (STEP if self._ahead.waited > WAITED else -STEP)))
            own = self.agenda.take_many(now, self._share)
            batch += own.ids
            alone |= own.alone
        while self.busy and self._ahead.room(now):
            many = self.agenda.take_many(now, most)
            batch += many.second
            request = Request(many.news, many.alone, now, self._clock.stamp(), self._books.limits, self.bounds)
            if not self._ahead.ask(request):
                batch += many.news
                alone |= many.alone
        ahead = ahead.without(set(asked).intersection(batch))  # there is news of them since that look
        if asked or batch:
            # What was heard of one before it was asked for, no look has answered yet.
            alone.difference_update(asked, self._ahead.asked)
            self._go(list(dict.fromkeys((*asked, *batch))), now, ahead, alone)
        else:
            due = self.agenda.take(now, most)
            self._go(due.ids, now, alone=due.alone, patiently=bool(due.second))
        self._ahead.tidy(now)
        if laden:
            took = self._clock.now() - began
            if took > LONG:
                self._most = max(FEWEST, most // 4)
            elif took < LONG // 4:
                self._most = min(BATCH, 2 * most)
        elif not self.pending:
            self._most = FEWEST

    def _go(
        self,
        batch: list[str],
        now: int,
        ahead: FirstLooks = NO_FIRST_LOOKS,
        alone: Collection[str] = (),
        *,
        patiently: bool = False,
    ) -> None:
        if not batch:
            return
        try:
            self._look(batch, now, ahead=ahead, alone=alone, patiently=patiently)
        except Exception:
            self.agenda.add(batch)
            raise

    def decide(self, *made: Decision) -> None:
        """Makes decisions durable, with what they make of their executions, before it returns."""
        self._look([d.execution_id for d in made], self._clock.now(), {d.execution_id: d for d in made})

    def look(self, execution_id: str) -> None:
        """At once, at one."""
        self._look([execution_id], self._clock.now())

    def remove(self, execution_ids: Sequence[str], *, dry: bool) -> Removal:
        """Removes executions for good, but for those whose files changed since they were read. A dry one does not."""
        self._recall()  # what was found before they went must not be stored after it
        removal = remove(self._books, self._folder, self.agenda, execution_ids, dry=dry)
        for execution_id in () if dry else removal.executions:
            self._reader.forget(execution_id)
        return removal

    def _look(
        self,
        batch: list[str],
        now: int,
        made: Mapping[str, Decision] = NONE_MADE,
        ahead: FirstLooks = NO_FIRST_LOOKS,
        alone: Collection[str] = (),
        *,
        patiently: bool = False,
    ) -> None:
        give_way = self._urgent if patiently and self._gave_way < PATIENCE else None
        self._ahead.outdate(batch)
        outcome = self._books.reconciler.look(
            self._reader,
            batch,
            now,
            self._clock.stamp(),
            may_judge=self.judges,
            made=made,
            held=self.held,
            ahead=ahead,
            alone=alone,
            give_way=give_way,
        )
        # In step with others: each sync for a few at once, and seldom while news waits.
        stride = self.bounds.settle_ns // 2_000 or 1
        for execution_id, wait in outcome.again.items():
            at = now + wait // 1000
            self.agenda.add_later(execution_id, at + -at % stride if wait else 0)
        if patiently:
            self._gave_way = self._gave_way + 1 if len(outcome.left) == len(batch) else 0
            for execution_id in outcome.left:
                self.agenda.add_later(execution_id, 0)
        else:
            self.agenda.add(outcome.left)
        if outcome.refused:
            self._refused, self._refused_at = outcome.refused, now
        if outcome.written:
            self.written += len(outcome.written)
            self.changed(outcome.written)
            if self.judges:  # before that, it is the files that are old
                stamp = self._clock.stamp()
                self.measure([max(0, stamp - changed) / 1e9 for changed in outcome.stamps], outcome.seconds)
