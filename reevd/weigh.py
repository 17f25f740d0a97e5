"""A reading against what is stored: what must change. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from reevd import derive as rules
from reevd.change import Calls, Change
from reevd.derive import Evidence, Limits, Trace
from reevd.model import Decision, Execution, Status, ToolCall
from reevd.names import files_of
from reevd.otel_file import Telemetry
from reevd.reading import FileRow, Part, Reading
from reevd.session_file import Session
from reevd.times import from_rfc3339, rfc3339


def weigh(
    execution_id: str,
    reading: Reading,
    previous: Execution | None,
    decisions: tuple[Decision, ...],
    now: int,
    stamp: int,
    *,
    limits: Limits,
    settle: int,
    may_judge: bool,
    made: Decision | None = None,
    held: bool = False,
) -> Change:
    """What the reading changes.

    now in microseconds, on our clock; stamp in nanoseconds, on the clock that stamps files; settle in
    microseconds; may_judge: whether a verdict may be spoken yet; made: a decision that is new with this
    look; held: whether its runner is about to be started, or was and lives, so that silence says nothing.
    """
    parts = session, otel = (reading.session_part, reading.otel_part)
    row, otel_row = session.row, otel.row
    files = tuple([file for file in (row, otel_row) if file])
    gone = tuple([part.name for part in parts if part.vanished])
    problems = tuple([problem for problem in (session.problem, otel.problem) if problem])
    solved: tuple[str, ...] = files_of(execution_id)
    if problems:
        troubled = {problem.path for problem in problems}
        solved = tuple([name for name in solved if name not in troubled])
    new = (made,) if made else ()
    if made:
        decisions = (*(d for d in decisions if d.kind != made.kind), made)
    if (not made and _torn(reading, previous, now, settle)) or not _known(parts, previous, decisions):
        # What was shown stands; its file may never come to rest, and say it no longer.
        lasting = previous is not None and previous.result_data is not None
        return Change(execution_id, None, None, files, gone, problems, solved, new, previous if lasting else None)
    kept = _kept(reading, previous, decisions)
    halfway = _halfway(reading, previous)
    shown = None if halfway else _shown_calls(reading, previous, kept=kept)
    count = len(shown) if shown is not None else previous.tool_calls if previous else 0
    evidence = _evidence(execution_id, reading, previous, decisions, now, stamp, kept=kept, calls=count)
    if made or (held and rules.waiting(evidence)):
        evidence = evidence._replace(news_at=now)
    if held and evidence.lock == "unknown":
        evidence = evidence._replace(lock="held")
    verdict = rules.judge(evidence, now, limits) if may_judge else None
    if verdict is not None:
        evidence = evidence._replace(decisions=(*decisions, verdict))
        new = (*new, verdict)
    execution = rules.derive(evidence, now, limits)
    if previous and _unread(otel) and not execution.terminal:
        execution = execution._replace(progress=max(execution.progress, previous.progress))
    same = previous is not None and _same(execution, previous)
    outlives = execution.terminal and (new or _outlives(row, previous, execution))
    return Change(
        execution_id,
        execution=None if same else execution,
        # Nothing is taken of what is half read: all of it will be new then.
        calls=None if halfway else _calls(reading, previous, shown, unchanged=row is None),
        files=files,
        gone=gone,
        problems=problems,
        solved=solved,
        decisions=new,
        archive=(previous if same else execution) if outlives else None,
    )


def _same(row: Execution, previous: Execution) -> bool:
    """Whether nothing is to be stored. That the file of what has ended was touched is no news of it."""
    news_at = previous.news_at if row.terminal else row.news_at
    return row._replace(updated_at=previous.updated_at, news_at=news_at) == previous


def _torn(reading: Reading, previous: Execution | None, now: int, settle: int) -> bool:
    """A file caught while it is written changes nothing: the last good reading stands a while longer."""
    if not reading.torn_since:
        return False
    if previous is None:
        return now - reading.torn_since < settle
    return previous.deadline_at is None or rfc3339(now) < previous.deadline_at


def _halfway(reading: Reading, previous: Execution | None) -> bool:
    """Whether telemetry that is read anew, a slice at a time, has fewer calls so far than who asks has seen.

    What is never read to its end does not stand against calls that the session file tells.
    """
    telemetry, more = reading.telemetry, _unread(reading.otel_part)
    if reading.otel_part.problem and isinstance(reading.session, Session) and reading.session.tool_calls:
        return False
    return bool(more and telemetry and previous and len(telemetry.calls) < previous.tool_calls)


def _unread(otel: Part) -> bool:
    """Whether there is more in the telemetry than was read of it."""
    return otel.again == 0 or otel.problem is not None


def _known(parts: tuple[Part, Part], previous: Execution | None, decisions: tuple[Decision, ...]) -> bool:
    """Whether there is a run at all: a refused name alone is a problem, not a run."""
    session, otel = parts
    return bool(previous is not None or decisions or session.fingerprint or otel.fingerprint)


def _outlives(session: FileRow | None, previous: Execution | None, row: Execution) -> bool:
    """Whether the end must be kept apart from its file now: that came to rest, or says it no longer."""
    settled = session is not None and session.mark is not None
    left = previous is not None and previous.source_state == "present" and row.source_state != "present"
    return settled or left


def _evidence(
    execution_id: str,
    reading: Reading,
    previous: Execution | None,
    decisions: tuple[Decision, ...],
    now: int,
    stamp: int,
    *,
    kept: bool,
    calls: int,
) -> Evidence:
    session, otel = reading.session_part, reading.otel_part
    news = _news(previous, (session, otel), now, stamp)
    told = reading.session if isinstance(reading.session, Session) else None
    trace = _trace(reading.telemetry) if reading.telemetry else None
    lock = reading.lock if rules.promised(told, trace) else "unknown"
    if trace and previous and previous.locked and _unread(otel):
        # Its promise may stand in what is not read again yet: so a lock that is held counts, but none that is missed.
        trace, lock = trace._replace(locked=True), "held" if reading.lock == "held" else lock
    return Evidence(
        execution_id,
        reading.session,
        trace,
        session.name if session.fingerprint else None,
        otel.name if otel.fingerprint else None,
        _began(previous, (session, otel), decisions, news),
        news,
        calls,
        decisions,
        lock,
        previous,
        kept,
    )


def _news(previous: Execution | None, parts: tuple[Part, Part], now: int, stamp: int) -> int:
    """When the files last changed: when we saw it, or by their age where they are new to us."""
    news = _micros(previous.news_at) if previous else 0
    for part in parts:
        if part.fingerprint and part.old is None:
            # An age, since the clock that stamped the file may have been set since.
            age = max(stamp - part.fingerprint.ctime_ns, 0) // 1000
            news = max(news, now - age)
        elif part.fingerprint and part.old and part.fingerprint != part.old.fingerprint:
            news = now
    return news or now


def _began(previous: Execution | None, parts: tuple[Part, Part], decisions: tuple[Decision, ...], news: int) -> int:
    """When it began: what we can vouch for, not what its writer's clock claims. A wait in the queue is none of it."""
    session, otel = parts
    runs = session.fingerprint or otel.fingerprint
    if previous and not (runs and previous.status == Status.QUEUED):
        return _micros(previous.began_at)
    return min([news, *[decision.at for decision in decisions if not runs or decision.kind != "queued"]])


def _micros(text: str) -> int:
    return from_rfc3339(text) or 0


def _kept(reading: Reading, previous: Execution | None, decisions: tuple[Decision, ...]) -> bool:
    """Whether the stored end stands against what the file says now: all but a better end leaves it as it is.

    Also where it was read provisionally: who has seen it ended must not see it run again.
    """
    if previous is None or not previous.terminal:
        return False
    if previous.result_data is None and any(decision.kind in rules.VERDICTS for decision in decisions):
        return False
    return not (isinstance(reading.session, Session) and _better(reading.session, previous))


def _better(session: Session, previous: Execution) -> bool:
    """A result replaces any end; a file that was closed without one replaces what had none either."""
    return session.result is not None or (session.ended and previous.result_data is None)


def _trace(telemetry: Telemetry) -> Trace:
    bad = telemetry.first_bad
    return Trace(
        steps=telemetry.steps,
        first_at=telemetry.first_at,
        last_at=telemetry.last_at,
        named_ids=frozenset(telemetry.named_ids),
        bad_lines=telemetry.bad_lines,
        first_bad=f"at byte {bad.offset}: {bad.why}" if bad else "",
        locked=telemetry.locked,
    )


def _shown_calls(reading: Reading, previous: Execution | None, *, kept: bool) -> Sequence[ToolCall] | None:
    """Telemetry's calls where it has any, else the session file's; None: those that stand."""
    if reading.telemetry and reading.telemetry.calls:
        return reading.telemetry.calls
    if isinstance(reading.session, Session) and reading.session.tool_calls:
        return reading.session.tool_calls
    # What cannot be read says nothing, and not that there is nothing.
    unsaid = reading.telemetry is None or reading.otel_part.problem
    return None if previous and (kept or unsaid) else ()


def _calls(
    reading: Reading, previous: Execution | None, shown: Sequence[ToolCall] | None, *, unchanged: bool
) -> Calls | None:
    """What of the shown calls must be stored; unchanged: the session file is as it was."""
    start = reading.telemetry.take_changed() if reading.telemetry else None
    if shown is None:
        return None
    if reading.telemetry and shown is reading.telemetry.calls:
        return None if start is None else Calls(start, shown[start:])
    silent = start is None and not reading.otel_part.vanished
    stands = previous is not None and previous.tool_calls == len(shown) and unchanged and silent
    return None if stands else Calls(0, shown)
