"""Spans: what a run does, measured. A run without telemetry uses this as it is; telemetry listens from below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from runner.clock import Clock
from runner.errors import RunnerError, StoppedError

SpanKind = Literal["execution", "step", "tool", "model"]

PROMPT = "reev.prompt"
AGENT_NAME = "gen_ai.agent.name"
MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
PROVIDER = "gen_ai.provider.name"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
COST = "reev.usage.cost_usd"
STEP_STATUS = "reev.step.status"
TOOL_NAME = "gen_ai.tool.name"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"


@dataclass
class Measured:
    """A span at work: its `attributes` may grow until it ends, an `error` marks it as failed.

    error_type: which kind of failure that is, in one word. Times are nanoseconds since 1970.
    """

    started_at: int
    ended_at: int = 0
    attributes: dict[str, str | int | float] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None


class Judged(NamedTuple):
    """How a run ended. `score` lies between 0 and 1, and is None where nothing was judged."""

    succeeded: bool
    score: float | None
    error_type: str | None


class Run(Protocol):
    """The run that spans are of. `judged` is None until it has ended."""

    @property
    def execution_id(self) -> str: ...

    @property
    def judged(self) -> Judged | None: ...


class Tracing:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @contextmanager
    def span(self, kind: SpanKind, name: str, attributes: Mapping[str, str | int | float]) -> Iterator[Measured]:
        """An exception that leaves the block becomes the span's error, and goes on."""
        measured = Measured(self._clock.now(), attributes=dict(attributes))
        begun = self.begin(kind, name, measured)
        try:
            yield measured
        except BaseException as error:
            measured.error = measured.error or str(error) or type(error).__name__
            known = error.kind if isinstance(error, RunnerError | StoppedError) else type(error).__name__
            measured.error_type = measured.error_type or known
            raise
        finally:
            measured.ended_at = self._clock.now()
            self.end(begun, measured)

    def follow(self, run: Run) -> None:
        """Tells whose spans these are."""

    def close(self) -> None:
        """The run is over: what was not yet sent anywhere is sent, but not waited for without end."""

    def begin(self, kind: SpanKind, name: str, measured: Measured) -> Any:
        """Told at a span's start; what it returns comes back at its end."""

    def end(self, begun: Any, measured: Measured) -> None:
        """Told at a span's end."""
