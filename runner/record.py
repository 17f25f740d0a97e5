"""What happened in a run, collected as it happens, and the session document that tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runner import __version__
from runner.case import Case
from runner.clock import Clock, rfc3339
from runner.errors import Kind
from runner.score import Score, Verdict
from runner.tracing import Judged, Measured

EventType = Literal[
    "SessionStart", "LlmRequest", "ToolCall", "ToolResult", "TransactionExecution", "Error", "SessionEnd"
]
Mode = Literal["installed", "checkout"]
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run, and how. `timeout` is in seconds, `chain` the chain's name."""

    case: Case
    agent: str
    execution_id: str
    sessions_dir: Path
    timeout: float
    mode: Mode
    chain: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run did not succeed, in the session file's words."""

    kind: Kind
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. One that was stopped or broke has no success, and nothing was judged: `score` is None."""

    succeeded: bool
    score: Score | None
    verdicts: tuple[Verdict, ...]
    failure: Failure | None

    @property
    def text(self) -> str:
        told = self.to_json()
        why = f": {self.failure.message}" if self.failure else ""
        return f"{told['status']}, score {told['score']:.4g}{why}"

    def to_json(self) -> dict[str, Any]:
        return {
            "success": self.succeeded,
            "score": self.score.value if self.score else 0.0,
            "status": "Succeeded" if self.succeeded else "Failed",
            "error": {"kind": self.failure.kind, "message": self.failure.message} if self.failure else None,
        }


@dataclass
class Record:
    """`liveness` says how a reader of the files can tell that the run lives; None: not at all."""

    order: Order
    clock: Clock
    pid: int
    liveness: str | None
    events: list[dict[str, Any]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    judged: Judged | None = None

    @property
    def execution_id(self) -> str:
        return self.order.execution_id

    def event(self, event_type: EventType, depth: int, data: dict[str, Any], at: int | None = None) -> None:
        timestamp = rfc3339(self.clock.now() if at is None else at)
        self.events.append({"timestamp": timestamp, "event_type": event_type, "depth": depth, "data": data})

    def tool(self, name: str, arguments: Any, result: Any, measured: Measured, status: str) -> None:
        """A call that has ended, well or not."""
        call = {
            "tool_name": name,
            "start_time": rfc3339(measured.started_at),
            "end_time": rfc3339(measured.ended_at),
            "params": arguments,
            "result": result,
            "status": status,
        }
        self.tools.append(call | ({"error_message": measured.error} if measured.error else {}))

    def document(self) -> dict[str, Any]:
        """The session while it runs: no end, no result."""
        order = self.order
        return {
            "session_id": order.execution_id,
            "benchmark_id": order.case.id,
            "agent_type": order.agent,
            "start_time": self.clock.started_at // SECOND,
            "end_time": None,
            "events": self.events,
            "final_result": None,
            "metadata": {
                "runner": "reev-runner",
                "runner_version": __version__,
                "pid": self.pid,
                "chain": order.chain,
                "liveness": self.liveness,
                "timeout_seconds": order.timeout,
                "mode": order.mode,
                "steps_total": order.case.steps_total,
            },
        }

    def closed(self, outcome: Outcome, elapsed_ms: int) -> dict[str, Any]:
        """The session with its result."""
        kind = outcome.failure.kind if outcome.failure else None
        self.judged = Judged(outcome.succeeded, outcome.score.value if outcome.score else None, kind)
        document = self.document()
        document["end_time"] = self.clock.now() // SECOND
        document["final_result"] = {
            **outcome.to_json(),
            "execution_time_ms": elapsed_ms,
            "data": {"prompt": self.order.case.prompt, "steps": self.steps},
            "tools": self.tools,
        }
        document["metadata"] |= {
            "score": outcome.score.to_json() if outcome.score else None,
            "assertions": [verdict.to_json() for verdict in outcome.verdicts],
        }
        if self.usage:
            document["metadata"]["usage"] = total(self.usage)
        return document


def total(usages: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all prompts of the run; a figure that one of them does not know is not known of the whole."""
    found: dict[str, Any] = {"model": usages[0]["model"]}
    for name in usages[0].keys() - {"model"}:
        values = [usage[name] for usage in usages]
        found[name] = None if None in values else sum(values)
    return found
