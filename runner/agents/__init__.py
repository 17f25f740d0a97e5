"""The agents: who decides which tools to call and what to have executed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeVar

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


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt of a case. `step` is 0 where the case has but one; `before`: what became of the steps before."""

    step: int
    prompt: str
    before: str = ""


class Answered(Protocol):
    """What a model's service says of an answer; tokens as it counted them."""

    @property
    def finish_reason(self) -> str: ...

    @property
    def input_tokens(self) -> int: ...

    @property
    def output_tokens(self) -> int: ...


A = TypeVar("A", bound=Answered)


class Toolbox(Protocol):
    """The tools at hand; each call is recorded as it happens, and so is each question to a model."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def definitions(self) -> Sequence[dict[str, Any]]:
        """The tools as chat completions take them."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Called: ...

    def refuse(self, name: str, error: str) -> None:
        """Records a call that was asked for and cannot be made."""

    def request(self, model: str, provider: str, ask: Callable[[], A]) -> A:
        """Has the question asked, and records it."""

    def told(self, user: str, final: str) -> None:
        """Records what the next question puts to a model, beside the user's prompt that it is made of."""

    def spend(self, usage: Mapping[str, Any]) -> None:
        """Records what a prompt has cost, however it ended."""


class Agent(Protocol):
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        """Works on one prompt of the case. Raises AgentError where the agent cannot be reached or cannot act."""


Agents = Mapping[str, Callable[[], Agent]]


def _deterministic() -> Agent:
    agent: Agent = import_module("runner.agents.deterministic").Deterministic()
    return agent


def _language_model(name: str) -> Callable[[], Agent]:
    def make() -> Agent:
        agent: Agent = import_module("runner.agents.language_model").open_agent(name, os.environ)
        return agent

    return make


AGENTS: Agents = {
    "deterministic": _deterministic,
    **{name: _language_model(name) for name in ("glm-4.6", "glm-4.6-coding", "local")},
}
