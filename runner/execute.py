"""An execution from its first file to its last. However a run ends, its session file says how."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.agents import Agent
from runner.chain import Chain
from runner.claim import Claim
from runner.clock import Clock
from runner.errors import RunnerError, StoppedError, legible
from runner.otel_file import LOCK, OtelFile, exported, place
from runner.play import play
from runner.record import Failure, Order, Outcome, Record
from runner.session import SessionFile
from runner.stop import Stop
from runner.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Ended:
    """An execution that is over. `hint` says what to try where it broke; the files are absolute or as ordered."""

    order: Order
    outcome: Outcome
    elapsed_ms: int
    session_file: Path
    otel_file: Path | None
    exit_status: int
    hint: str

    def to_json(self) -> dict[str, Any]:
        return {
            "execution_id": self.order.execution_id,
            "benchmark_id": self.order.case.id,
            "agent": self.order.agent,
            **self.outcome.to_json(),
            "assertions": [verdict.to_json() for verdict in self.outcome.verdicts],
            "execution_time_ms": self.elapsed_ms,
            "session_file": legible(self.session_file),
            "otel_file": legible(self.otel_file) if self.otel_file else None,
            "exit_status": self.exit_status,
        }


def execute(
    order: Order,
    open_chain: Callable[[], Chain],
    make_agent: Callable[[], Agent],
    stop: Stop,
    environment: Mapping[str, str],
) -> Ended:
    """Raises UsageError where the execution id is taken, RunnerError where the files cannot be written."""
    session = SessionFile(order.sessions_dir, order.execution_id)
    session.require_no_result()
    where = place(order.sessions_dir, order.execution_id, environment)
    with closing(Claim(order.sessions_dir, order.execution_id)):
        session.require_no_result()
        if where is None:
            return _recorded(order, session, None, None, open_chain, make_agent, stop)
        # A reader takes "no result and no lock" for a dead runner: the lock comes before the first session file and
        # goes after the last.
        with closing(OtelFile(where)) as file:
            if where.own:
                file.clear()
            return _recorded(order, session, file, LOCK if where.own else None, open_chain, make_agent, stop)


def _recorded(
    order: Order,
    session: SessionFile,
    file: OtelFile | None,
    liveness: str | None,
    open_chain: Callable[[], Chain],
    make_agent: Callable[[], Agent],
    stop: Stop,
) -> Ended:
    clock = Clock()
    record = Record(order, clock, os.getpid(), liveness)
    record.event(
        "SessionStart",
        0,
        {"benchmark_id": order.case.id, "agent": order.agent, "chain": order.chain},
        at=clock.started_at,
    )
    session.write(record.document())
    exit_status, hint = 1, ""
    tracing: Tracing | None = None
    try:
        with stop.limit(order.timeout):
            tracing = _tracing(clock, file, order.execution_id, liveness)
            outcome = play(record, tracing, open_chain, make_agent, stop)
    except StoppedError as stopped:
        outcome, exit_status = _broken(Failure(stopped.kind, stopped.message)), stopped.exit_status
    except RunnerError as error:
        outcome, exit_status, hint = _broken(Failure(error.kind, str(error))), error.exit_status, error.hint
    except BaseException as error:  # noqa: BLE001 (a panic of the VM is no Exception, and must be told as well)
        outcome = _broken(Failure("internal", legible(f"{type(error).__name__}: {error}")))
        record.event("Error", 0, {"traceback": legible(traceback.format_exc())})
    else:
        exit_status = 0 if outcome.succeeded else 1
    if outcome.failure:
        record.event("Error", 0, {"kind": outcome.failure.kind, "message": outcome.failure.message})
    record.event("SessionEnd", 0, outcome.to_json())
    elapsed_ms = clock.elapsed_ms()
    try:
        session.write(record.closed(outcome, elapsed_ms))
    except RunnerError as error:
        told = f"{error.why}. What it would have said: {outcome.text}"
        raise RunnerError(error.doing, error.subject, told, error.hint) from error
    finally:
        if tracing is not None:
            tracing.close()
    return Ended(order, outcome, elapsed_ms, session.path, file.path if file else None, exit_status, hint)


def _broken(failure: Failure) -> Outcome:
    return Outcome(False, None, (), failure)


def _tracing(clock: Clock, file: OtelFile | None, execution_id: str, liveness: str | None) -> Tracing:
    if file is None and not exported(os.environ):
        return Tracing(clock)
    # Loading OpenTelemetry takes longer than a run: it comes after the session stands, and only where it is wanted.
    from runner.telemetry import Lines, Telemetry

    return Telemetry(clock, Lines(file, execution_id, liveness) if file else None)
