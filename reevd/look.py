"""Looks at executions: their files read, and what they say weighed against what is stored."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import NamedTuple

from reevd.change import Change
from reevd.derive import VERDICTS, Limits
from reevd.files import TransientError
from reevd.model import Decision, Execution
from reevd.reader import Reader
from reevd.reading import NOTHING_KNOWN, RETRY_NS, Known, Part, Reading, unread
from reevd.times import rfc3339
from reevd.weigh import weigh

# A look at many ends once so much was read: memory, and the wait of who comes after, have a bound.
MOST_BYTES = 16 << 20
NONE_MADE: Mapping[str, Decision] = {}


class Looks(NamedTuple):
    """What the executions that were looked at change.

    again: execution to nanoseconds until the next look. refused: why files could not be opened, where the host is to
    blame. failed: those that a defect of ours kept from being looked at. left: how many were not looked at, since
    there was so much to read
    """

    changes: list[Change]
    again: dict[str, int]
    refused: str | None
    failed: dict[str, Exception]
    left: int


def look(
    reader: Reader,
    execution_ids: Sequence[str],
    now: int,
    stamp: int,
    *,
    known: Known = NOTHING_KNOWN,
    limits: Limits,
    may_judge: bool,
    made: Mapping[str, Decision] = NONE_MADE,
    held: Container[str] = (),
    alone: Container[str] = (),
    give_way: Callable[[], bool] | None = None,
) -> Looks:
    """Reads them all, then weighs them all, which takes a quarter less time than one after the other.

    The arguments are `weigh`'s, for many. alone: those whose telemetry is not to be looked for. give_way: whether
    something has come that is more urgent than these; asked after each was read, and then all of them are left
    """
    found = _read(reader, execution_ids, now, stamp, known, alone, give_way, bounded=not made, may_judge=may_judge)

    def weighed(execution_id: str, reading: Reading) -> Change:
        return weigh(
            execution_id,
            reading,
            known.executions.get(execution_id),
            tuple(known.decisions.get(execution_id, ())),
            now,
            stamp,
            limits=limits,
            settle=reader.bounds.settle_ns // 1000,
            may_judge=may_judge,
            made=made.get(execution_id),
            held=execution_id in held,
        )

    changes, failed = list[Change](), found.failed
    again = dict.fromkeys(found.hindered, RETRY_NS)
    for execution_id, reading in found.readings:
        try:
            change = weighed(execution_id, reading)
        except Exception as error:  # noqa: BLE001 - one poisoned file must not stop the others
            failed[execution_id] = error
            continue
        changes.append(change)
        wait = _wait(reading.session_part, reading.otel_part)
        if change.decisions and any(decision.kind in VERDICTS for decision in change.decisions):
            wait = 0  # given up: what stands after the telemetry's last newline is a line now, and no more will come
        if wait is not None:
            again[execution_id] = wait
    # Whatever keeps a file from being read, what is decided is durable, and nobody is stuck.
    for execution_id, why in (found.hindered | failed).items():
        decision = made.get(execution_id)
        if decision or (may_judge and _overdue(known.executions.get(execution_id), now)):
            try:
                change = weighed(execution_id, unread(execution_id, known.files, str(why)))
            except Exception as error:  # noqa: BLE001 - as above
                failed[execution_id] = error
                change = Change(execution_id, decisions=(decision,) if decision else ())
            changes.append(change._replace(solved=()))
    refused = next(map(str, reversed(found.hindered.values())), None)
    return Looks(changes, again, refused, failed, found.left)


class _Found(NamedTuple):
    """hindered: those that the host kept from being read. failed: those that a defect of ours did."""

    readings: list[tuple[str, Reading]]
    hindered: dict[str, Exception]
    failed: dict[str, Exception]
    left: int


def _read(
    reader: Reader,
    execution_ids: Sequence[str],
    now: int,
    stamp: int,
    known: Known,
    alone: Container[str],
    give_way: Callable[[], bool] | None,
    *,
    bounded: bool,
    may_judge: bool,
) -> _Found:
    """What their files say. bounded: of no more than is to be read at once; may_judge: who is overdue is given up."""
    found = _Found([], {}, {}, 0)
    most = reader.taken + MOST_BYTES
    for number, execution_id in enumerate(execution_ids):
        if bounded and reader.taken > most:
            return found._replace(left=len(execution_ids) - number)
        previous = known.executions.get(execution_id)
        ended = previous is not None and previous.terminal
        try:
            afresh = may_judge and _overdue(previous, now)
            reading = reader.read(
                execution_id, known.files, now, stamp, ended=ended, alone=execution_id in alone, afresh=afresh
            )
            found.readings.append((execution_id, reading))
        except TransientError as error:
            found.hindered[execution_id] = error
        except Exception as error:  # noqa: BLE001 - one poisoned file must not stop the others
            found.failed[execution_id] = error
        if give_way and give_way():
            return _Found([], {}, {}, len(execution_ids))
    return found


def _overdue(row: Execution | None, now: int) -> bool:
    return row is not None and row.deadline_at is not None and row.deadline_at <= rfc3339(now)


def _wait(session: Part, otel: Part) -> int | None:
    if session.again is None or otel.again is None:
        return otel.again if session.again is None else session.again
    return min(session.again, otel.again)
