"""An execution that has ended, as it is told to others, and what makes it another outcome than the last. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Sequence
from string import Formatter
from typing import Any, NamedTuple

from reevd.model import ToolCall

FIELDS = (
    "execution_id",
    "benchmark_id",
    "agent",
    "status",
    "score",
    "reason",
    "error_message",
    "started_at",
    "ended_at",
)
TERMINAL = ("Completed", "Failed", "Stopped", "Timeout")


class Outcome(NamedTuple):
    """Times are RFC 3339 text. tool_calls: how many are told of with it; 0 for who is told of none."""

    execution_id: str
    benchmark_id: str
    agent: str
    status: str
    score: float | None
    reason: str
    error_message: str | None
    started_at: str | None
    ended_at: str | None
    tool_calls: int = 0
    calls: tuple[ToolCall, ...] = ()

    @property
    def digest(self) -> str:
        """The same as long as there is nothing new to tell: a late result after a Timeout is news, as is a late call.

        With fewer calls it is what this begins with: they went with their file, which is no news.
        """
        calls = f" {self.tool_calls}" if self.tool_calls else ""
        return f"{self.status} {self.score} {self.ended_at}{calls}"

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS}


class Wanted(NamedTuple):
    """Which outcomes somebody wants to hear of. `since`: those that ended then or later; empty for all.

    calls: with their tool calls
    """

    statuses: Collection[str] = TERMINAL
    benchmarks: Sequence[str] = ("*",)
    since: str = ""
    calls: bool = False

    def takes(self, outcome: Outcome) -> bool:
        return (
            outcome.status in self.statuses
            and (outcome.ended_at or "") >= self.since
            and any(fnmatch.fnmatchcase(outcome.benchmark_id, pattern) for pattern in self.benchmarks)
        )

    def told(self, outcome: Outcome) -> Outcome:
        """What there is to tell of it."""
        return outcome if self.calls else outcome._replace(tool_calls=0, calls=())


def check_command(command: Sequence[str]) -> None:
    """Raises ValueError where an argument holds a field that there is not."""
    known = ", ".join("{" + name + "}" for name in FIELDS)
    for part in command:
        for _, field, form, conversion in Formatter().parse(part):
            if field is not None and (field not in FIELDS or form or conversion):
                raise ValueError(f"{part!r}: there are the fields {known}; write {{{{ and }}}} for braces")


def fill(command: Sequence[str], outcome: Outcome) -> list[str]:
    """The arguments with their fields filled in: each stays one argument, whatever is in it."""
    values = {name: "" if value is None else str(value) for name, value in outcome.to_json().items()}
    # A NUL would end the argument for the kernel, and there is no escape for it.
    return [part.format_map(values).replace("\0", "") for part in command]
