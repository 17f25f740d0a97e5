"""Evidence to execution: the one place that decides what state a run is in. Pure: `now` is handed in.

The state is a join: a result beats a stop, a stop beats a timeout or a lost runner, these beat a running
file, and that beats a place in the queue. The join does not ask in which order the evidence came, so an
event that is late, doubled or dropped cannot change where an execution ends.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from reevd.history import history
from reevd.model import Decision, DecisionKind, Execution, Status
from reevd.session_file import Session, dumps
from reevd.times import SECOND, rfc3339, sharpest

Lock = Literal["held", "free", "unknown"]


class Limits(NamedTuple):
    """How long a run may be silent, and last in all; seconds."""

    silence: float = 300.0
    total: float = 3600.0


DEFAULT_LIMITS = Limits()


class Trace(NamedTuple):
    """What the telemetry says as a whole; its calls travel beside it."""

    steps: int
    first_at: int | None
    last_at: int | None
    named_ids: frozenset[str]
    bad_lines: int
    first_bad: str
    locked: bool = False


class Evidence(NamedTuple):
    """All that is known of one execution at one moment; times in microseconds.

    session     the session file's content; a text where it cannot be read (why); None where there is none
    began_at    when it began, on our clock: fixed when it was first seen
    news_at     when its files last changed, on our clock
    calls       how many tool calls are shown
    lock        `held`: the runner lives, by the lock on its telemetry or because reevd started it; `free`: it promised
                a lock and holds none; `unknown`: it promised none
    previous    the row as it stands; `kept` is true where its end stands against what the files say now
    """

    execution_id: str
    session: Session | str | None
    trace: Trace | None
    session_file: str | None
    otel_file: str | None
    began_at: int
    news_at: int
    calls: int = 0
    decisions: tuple[Decision, ...] = ()
    lock: Lock = "unknown"
    previous: Execution | None = None
    kept: bool = False


class _State(NamedTuple):
    status: Status
    reason: str
    ended_at: int | None = None
    error: str | None = None


ENDINGS = {"interrupted": (Status.STOPPED, "the run was interrupted"), "timeout": (Status.TIMEOUT, "the run timed out")}
VERDICTS = {"stopped": Status.STOPPED, "timed_out": Status.TIMEOUT, "lost": Status.FAILED}


def derive(evidence: Evidence, now: int, limits: Limits = DEFAULT_LIMITS) -> Execution:
    """The row that the evidence makes. Differs from `evidence.previous` where something must be stored."""
    session = evidence.session if isinstance(evidence.session, Session) else None
    previous, trace = evidence.previous, evidence.trace
    if evidence.kept and previous is not None:
        return _kept(previous, evidence, now)
    queued, launch = _decided(evidence, "queued"), _decided(evidence, "started")
    told = sharpest(session and session.started_at, trace and trace.first_at)
    started = sharpest(told, queued and queued.at) if told else None
    state = _state(evidence, session)
    begins = [at for at in (queued and queued.at, started) if at]
    created = rfc3339(min(begins)) if begins else previous.created_at if previous else rfc3339(evidence.began_at)
    result = session.result if session else None
    benchmark_id = _first(
        session and session.benchmark_id, queued and queued.benchmark_id, previous and previous.benchmark_id
    )
    agent = _first(session and session.agent, queued and queued.agent, previous and previous.agent)
    told_of = session.metadata if session else previous and previous.metadata
    warnings = _warnings(evidence, session)
    return Execution(  # in the order of its fields: with their names, it takes twice the time
        evidence.execution_id,
        benchmark_id,
        agent,
        state.status,
        created,
        rfc3339(now),
        _progress(state.status, session, trace),
        state.error,
        result.result_data if result else None,
        told_of or (launch and dumps({"mode": launch.reason})),
        result.score if result else None,
        state.reason,
        rfc3339(started) if started else previous.started_at if previous else None,
        rfc3339(state.ended_at) if state.ended_at is not None else None,
        None if state.status.terminal else rfc3339(deadline(evidence, limits)),
        rfc3339(evidence.began_at),
        rfc3339(evidence.news_at),
        evidence.session_file,
        evidence.otel_file,
        _source_state(evidence),
        evidence.calls,
        int(promised(session, trace)),
        dumps(warnings) if warnings else "[]",
        history(previous, state.status, state.reason, result, now),
    )


def promised(session: Session | None, trace: Trace | None) -> bool:
    """Whether its runner said, in either of the files, that it holds a lock while it lives."""
    return bool((session and session.locked) or (trace and trace.locked))


def judge(evidence: Evidence, now: int, limits: Limits = DEFAULT_LIMITS) -> Decision | None:
    """The verdict that is due on a run without a result: lost (its runner died) or timed out. None: none is."""
    session = evidence.session if isinstance(evidence.session, Session) else None
    if (session and session.ended) or evidence.kept:
        return None
    if any(d.kind in VERDICTS for d in evidence.decisions):
        return None
    if evidence.lock == "free":
        why = "its runner ended without a result: the lock on its telemetry is free"
        return Decision(evidence.execution_id, "lost", now, why)
    if now < deadline(evidence, limits):
        return None
    if waiting(evidence):
        why = f"it had not begun {limits.total:g} s after it was queued"
    elif evidence.lock == "held" or deadline(evidence, limits) < evidence.news_at + int(limits.silence * SECOND):
        why = f"it had no result {limits.total:g} s after its start"
    else:
        why = f"no news for {limits.silence:g} s"
    if isinstance(evidence.session, str):
        why += f"; its session file cannot be read: {evidence.session}"
    return Decision(evidence.execution_id, "timed_out", now, why)


def deadline(evidence: Evidence, limits: Limits) -> int:
    """When a run without a result is given up: so long after its last news, and after its start in all.

    Where its runner is known to live, silence says nothing: a model may think for long.
    """
    if waiting(evidence):
        return evidence.news_at + int(limits.total * SECOND)
    last = evidence.began_at + int(limits.total * SECOND)
    return last if evidence.lock == "held" else min(evidence.news_at + int(limits.silence * SECOND), last)


def _state(evidence: Evidence, session: Session | None) -> _State:
    last = sharpest(session and session.ended_at, evidence.trace and evidence.trace.last_at) or evidence.news_at
    if session and session.result:
        result = session.result
        score = "no score" if result.score is None else f"score {result.score:g}"
        if result.success:
            return _State(Status.COMPLETED, f"the session file reports success, {score}", last)
        kind = result.error_kind
        failed = f"the run failed ({kind})" if kind else "the session file reports failure"
        stop = _decided(evidence, "stopped")
        if stop and kind == "interrupted":  # it was interrupted for that
            return _State(Status.STOPPED, stop.reason, last, stop.reason)
        status, how = ENDINGS.get(kind or "", (Status.FAILED, failed))
        return _State(status, f"{how}, {score}", last, result.error_message or f"the benchmark failed with {score}")
    if session and session.ended:
        why = "the session file was closed without a result"
        return _State(Status.FAILED, why, last, why)
    for kind, status in VERDICTS.items():
        for decision in evidence.decisions:
            if decision.kind == kind:
                return _State(status, decision.reason, decision.at, decision.reason)
    if isinstance(evidence.session, str):
        return _State(Status.RUNNING, f"its session file cannot be read: {evidence.session}")
    if session or evidence.trace:
        return _State(Status.RUNNING, "its files stand and hold no result yet")
    if _ran(evidence.previous):
        return _State(Status.RUNNING, "its files are gone; a result may still come")
    queued = _decided(evidence, "queued")
    return _State(Status.QUEUED, queued.reason if queued else "it is known and has no file yet")


def _decided(evidence: Evidence, kind: DecisionKind) -> Decision | None:
    return next(iter([made for made in evidence.decisions if made.kind == kind]), None)  # generators take longer


def _source_state(evidence: Evidence) -> str:
    """What never had a file misses none."""
    previous = evidence.previous
    if evidence.session_file or evidence.otel_file or previous is None:
        return "present"
    had = previous.session_file or previous.otel_file or previous.source_state != "present"
    return "gone" if had else "present"


def waiting(evidence: Evidence) -> bool:
    """Whether it never had a file."""
    return not (evidence.session or evidence.trace or _ran(evidence.previous))


def _ran(previous: Execution | None) -> bool:
    return previous is not None and previous.status == Status.RUNNING


def _kept(previous: Execution, evidence: Evidence, now: int) -> Execution:
    row = previous._replace(
        session_file=evidence.session_file,
        otel_file=evidence.otel_file,
        source_state="gone" if evidence.session is None else "changed",
        tool_calls=evidence.calls,
    )
    return previous if row == previous else row._replace(updated_at=rfc3339(now))


def _first(*names: str | None) -> str:
    told = [name for name in names if name and name != "unknown"]
    return told[0] if told else "unknown"


def _progress(status: Status, session: Session | None, trace: Trace | None) -> float:
    if session and session.ended:
        return 1.0
    if status is Status.QUEUED or not session or not session.steps_total or not trace:
        return 0.0
    return min(trace.steps / session.steps_total, 0.99)


def _warnings(evidence: Evidence, session: Session | None) -> list[str]:
    warnings = list(session.warnings) if session else []
    if session and session.named_id not in (None, evidence.execution_id):
        warnings.append(f"the session file names the execution {session.named_id!r} inside: the file's name counts")
    trace = evidence.trace
    if trace and trace.bad_lines:
        warnings.append(f"{trace.bad_lines} lines of the telemetry cannot be read; the first {trace.first_bad}")
    if trace and (others := sorted(trace.named_ids - {evidence.execution_id})):
        warnings.append(f"the telemetry names the execution {others[0]!r} inside: the file's name counts")
    return warnings
