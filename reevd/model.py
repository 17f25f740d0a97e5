"""The nouns that every layer shares. Records only: no I/O, no clock.

Times inside records that go to the database are RFC 3339 text in UTC with microseconds: fixed width, so
that text order is time order. Times in evidence are integers, microseconds since 1970.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple


class Status(StrEnum):
    """The six states of an execution."""

    QUEUED = "Queued"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPED = "Stopped"
    TIMEOUT = "Timeout"

    @property
    def terminal(self) -> bool:
        return self is not Status.QUEUED and self is not Status.RUNNING


class ToolCall(NamedTuple):
    """One call of a tool. `params` and `result` are JSON text; `status` is open, success, error or timeout."""

    tool_name: str
    started_at: str | None
    duration_ms: float | None
    params: str | None
    result: str | None
    status: str
    error_message: str | None


DecisionKind = Literal["queued", "started", "stopped", "timed_out", "lost"]


class Decision(NamedTuple):
    """What no file says: somebody queued or stopped an execution, or reevd started it or gave it up.

    `at` in microseconds. The reason of `started` is the runner's mode alone.
    """

    execution_id: str
    kind: DecisionKind
    at: int
    reason: str
    benchmark_id: str = ""
    agent: str = ""


class Execution(NamedTuple):
    """One row of `execution_states`, in the order of its columns.

    The first ten are the contract with readers of the table; `updated_at` is when reevd last wrote the row.
    `began_at`, `news_at` and `deadline_at` are on reevd's own clock, the other times are the writer's.
    `result_data`, `metadata`, `warnings` and `history` are JSON text.
    """

    execution_id: str
    benchmark_id: str
    agent: str
    status: str
    created_at: str
    updated_at: str
    progress: float
    error_message: str | None
    result_data: str | None
    metadata: str | None
    score: float | None
    reason: str
    started_at: str | None
    ended_at: str | None
    deadline_at: str | None
    began_at: str
    news_at: str
    session_file: str | None
    otel_file: str | None
    source_state: str
    tool_calls: int
    locked: int
    warnings: str
    history: str

    @property
    def terminal(self) -> bool:
        """Whether it has ended: what has not ended has a deadline, which the table itself demands."""
        return self.deadline_at is None


class Problem(NamedTuple):
    """A file that cannot be read or is odd, as /problems shows it."""

    path: str
    execution_id: str | None
    kind: str
    message: str
