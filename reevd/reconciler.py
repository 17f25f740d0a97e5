"""Looks at executions and stores what it finds: journal first, then one transaction for all of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw
import structlog

from reevd import record
from reevd.change import NO_FIRST_LOOKS, Change, FirstLooks
from reevd.database import DAMAGED, UNFIT
from reevd.derive import Limits
from reevd.endings import Endings
from reevd.errors import defect
from reevd.forget import forget
from reevd.journal import Journal
from reevd.look import NONE_MADE, look
from reevd.model import Decision, Execution, Problem
from reevd.names import files_of
from reevd.reader import Reader
from reevd.restore import replay
from reevd.store import Store
from reevd.times import rfc3339

ASKED_FOR = ("queued", "stopped")
REMEMBERED = 20_000

log = structlog.get_logger("reevd.reconciler")


class StoringError(Exception):
    """Nothing of the batch was stored; everything in it must be looked at again."""


class Outcome(NamedTuple):
    """written: executions whose row changed. again: execution to nanoseconds until the next look.

    refused: why files could not be opened, where the host is to blame. stamps: when the newest file of each row that
    changed was changed last (nanoseconds). seconds: that the transaction took. left: those that were not looked at,
    since there was so much to read
    """

    written: list[str]
    again: dict[str, int]
    refused: str | None
    stamps: list[int]
    seconds: float
    left: Sequence[str]


class Reconciler:
    """Raises StoringError where the disk fails, and apsw.CorruptError where the database is damaged."""

    def __init__(self, store: Store, journal: Journal, limits: Limits) -> None:
        self._store, self._journal, self.limits = store, journal, limits
        self._troubled = set(store.problem_paths())
        self._endings = Endings()
        self._behind: int | None = None  # the offset from which on the database lacks what the journal has
        # A file that is touched again and again must not have its result written to the journal each time.
        self._archived: OrderedDict[str, int] = OrderedDict()

    @property
    def problems(self) -> frozenset[str]:
        """The paths of all files that are in trouble."""
        return frozenset(self._troubled)

    def look(
        self,
        reader: Reader,
        batch: Sequence[str],
        now: int,
        stamp: int,
        *,
        may_judge: bool,
        made: Mapping[str, Decision] = NONE_MADE,
        held: Container[str] = (),
        ahead: FirstLooks = NO_FIRST_LOOKS,
        alone: Collection[str] = (),
        give_way: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Looks at the executions of `batch`. `stamp`: nanoseconds, on the clock that stamps files.

        made: decisions to store with what they make of their executions. held: those that are about to be started.
        ahead: first looks that were taken since these were to be looked at. alone: of whose telemetry nothing was
        heard. give_way: whether there is something more urgent than all of these, which are left then
        """
        self.catch_up()
        if ahead.executions:
            ahead = ahead.without(self._store.standing([row[0] for row in ahead.executions]))
        done = {row[0] for row in ahead.executions}
        rest = [execution_id for execution_id in batch if execution_id not in done] if done else batch
        known = self._store.known(rest)
        # Whoever stands has all files looked at: telemetry that is known would seem gone, and trouble with it over.
        names = known.files.keys(), self._troubled
        alone = {i for i in alone if i not in known.executions and all(n.isdisjoint(files_of(i)) for n in names)}
        looks = look(
            reader,
            rest,
            now,
            stamp,
            known=known,
            limits=self.limits,
            may_judge=may_judge,
            made=made,
            held=held,
            alone=alone,
            give_way=give_way,
        )
        changes = looks.changes
        for execution_id, error in looks.failed.items():
            changes.append(_poisoned(execution_id, error))
            reader.forget(execution_id)
        began = time.perf_counter()
        try:
            written = self.store(changes, now, ahead)
        except StoringError:
            for change in changes:
                reader.forget(change.execution_id)
            raise
        except UNFIT as error:
            log.error("storing failed inside reevd: storing each apart", exc_info=error)
            for change in changes:
                reader.forget(change.execution_id)
            if ahead.executions:  # it may be one of these, which are looked at here then
                return self.look(reader, batch, now, stamp, may_judge=may_judge, made=made, held=held)
            written = self._store_apart(changes, now)
        seconds = time.perf_counter() - began
        ended = [*(c.execution for c in changes if c.execution), *map(Execution._make, ahead.executions)]
        self._endings.tell(ended, known.executions, now)
        stamps = [*ahead.stamps, *(c.stamp for c in changes if c.execution and c.files)]
        again = looks.again | ahead.again
        return Outcome(written, again, looks.refused, stamps, seconds, rest[len(rest) - looks.left :])

    def catch_up(self) -> None:
        """Before the database knows the journal as a whole again, or another takes the journal's place.

        Files that said what the journal alone has may be gone by now. Raises StoringError.
        """
        if self._behind is None:
            return
        with _storing():
            replay(self._store, self._journal, 0, self._behind)  # the time is one of problems, and it has none
        self._behind = None

    def _store_apart(self, changes: Iterable[Change], now: int) -> list[str]:
        """What cannot be stored is told, and keeps nothing else from it."""
        written = list[str]()
        for change in changes:
            try:
                written += self.store([change], now)
            except UNFIT as error:
                self.store([_poisoned(change.execution_id, error)._replace(decisions=change.decisions)], now)
        return written

    def store(self, changes: Iterable[Change], now: int, ahead: FirstLooks = NO_FIRST_LOOKS) -> list[str]:
        """Stores the changes, and first looks. Returns the executions whose row changed."""
        batch = list(changes)
        if not batch and not ahead.executions:
            return []
        solved = self._troubled.intersection([path for c in batch for path in c.solved]) if self._troubled else ()
        records: list[dict[str, Any]] = [record.decision(d) for c in batch for d in c.decisions]
        ended = [c.archive for c in batch if c.archive and self._archived.get(c.execution_id) != hash(c.archive)]
        records += [record.result(row) for row in ended]
        before = self._journal.size
        try:
            size = self._journal.append(records, ahead.lines.values())
            self._store.reconcile(batch, rfc3339(now), ahead, solved=solved, journal_size=size)
        except (apsw.Error, OSError, *UNFIT) as error:
            unfit = isinstance(error, UNFIT)
            if unfit or any(d.kind in ASKED_FOR for c in batch for d in c.decisions):
                self._journal.cut(before)  # nobody is to find it there: it fits nowhere, or was refused to who asked
            if self._journal.size > before:
                self._behind = before if self._behind is None else min(before, self._behind)
            if unfit or isinstance(error, DAMAGED):
                raise
            raise StoringError(str(error) or type(error).__name__) from error
        self._troubled.difference_update(solved)
        self._archived.update((row.execution_id, hash(row)) for row in ended)
        while len(self._archived) > REMEMBERED:
            self._archived.popitem(last=False)
        for change in batch:
            for problem in change.problems:
                self._tell(problem)
        return [*(c.execution.execution_id for c in batch if c.execution), *(row[0] for row in ahead.executions)]

    def forget(self, execution_ids: Sequence[str]) -> None:
        """Durable in the journal before the rows go, or they would come back with it. Raises StoringError."""
        self.catch_up()
        before = self._journal.size
        try:
            with _storing():
                size = self._journal.append([record.forgotten(execution_ids)])
                forget(self._store, execution_ids, size)
        except StoringError:
            self._journal.cut(before)  # it was refused to who asked
            raise
        self._troubled.difference_update(name for i in execution_ids for name in files_of(i))

    def _tell(self, problem: Problem) -> None:
        if problem.path not in self._troubled:
            self._troubled.add(problem.path)
            log.warning("problem", **problem._asdict())


@contextmanager
def _storing() -> Iterator[None]:
    """What a disk that fails raises, as StoringError; damage as it is."""
    try:
        yield
    except DAMAGED:
        raise
    except (apsw.Error, OSError) as error:
        raise StoringError(str(error) or type(error).__name__) from error


def _poisoned(execution_id: str, error: Exception) -> Change:
    log.error("look failed", execution_id=execution_id, exc_info=error)
    trouble = defect(error)
    problem = Problem(f"session_{execution_id}.json", execution_id, trouble.kind, trouble.message)
    return Change(execution_id, problems=(problem,))
