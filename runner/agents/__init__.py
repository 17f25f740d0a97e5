"""The agents: who decides which tools to call and what to have executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from runner.case import Case
from runner.instruction import Instruction


@dataclass(frozen=True, slots=True)
class Called:
    """What a tool answered. `error` is None where the call succeeded; else `result` is None."""

    result: Any
    instructions: tuple[Instruction, ...]
    error: str | None


@dataclass(frozen=True, slots=True)
class Move:
    """What an agent wants executed, as one transaction, and why."""

    instructions: tuple[Instruction, ...]
    thought: str | None = None
    info: Mapping[str, Any] | None = None


class Toolbox(Protocol):
    """The tools at hand; each call is recorded as it happens."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> Called: ...


class Agent(Protocol):
    def act(self, case: Case, prompt: str, tools: Toolbox) -> Move:
        """Works on one prompt of the case. Raises AgentError where the agent cannot be reached or cannot act."""


Agents = Mapping[str, Callable[[], Agent]]


def _deterministic() -> Agent:
    agent: Agent = import_module("runner.agents.deterministic").Deterministic()
    return agent


AGENTS: Agents = {"deterministic": _deterministic}
