"""The steps of a run, as its result holds them: what was done, and what came of it. Pure.

Where the result holds none, a run's tool calls tell what was proposed (see `reevd.views.tools`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reevd.views.accounts import Accounts
from reevd.views.instruction import Instruction, instructions

MOST_LOG_LINES = 20_000


class Step(NamedTuple):
    """`number` counts from 1; `status`, `error` and `thought` are the writer's; `logs` the chain's lines."""

    number: int
    thought: object
    instructions: list[Instruction]
    status: object
    error: object
    logs: list[str]
    accounts: Accounts


def final_result(execution: Mapping[str, Any]) -> dict[str, Any]:
    """What the session file's `final_result` holds; empty where there is none."""
    return _object(_object(execution.get("result_data")).get("final_result"))


def prompt(execution: Mapping[str, Any]) -> object:
    return _object(final_result(execution).get("data")).get("prompt")


def steps(execution: Mapping[str, Any]) -> list[Step]:
    """In their order; entries that are no objects are counted and passed over."""
    found = _object(final_result(execution).get("data")).get("steps")
    several = found if isinstance(found, list) else []
    return [_step(number, entry) for number, entry in enumerate(several, 1) if isinstance(entry, dict)]


def logged(execution: Mapping[str, Any]) -> list[Step]:
    """The steps whose transaction left a log."""
    return [step for step in steps(execution) if step.logs]


def _step(number: int, entry: dict[str, Any]) -> Step:
    observation = _object(entry.get("observation"))
    return Step(
        number,
        entry.get("thought"),
        instructions(entry.get("action")),
        observation.get("last_transaction_status"),
        observation.get("last_transaction_error"),
        _lines(observation.get("last_transaction_logs")),
        Accounts(observation.get("key_map"), observation.get("account_states")),
    )


def _lines(value: object) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()[:MOST_LOG_LINES]
    return [text for text in value[:MOST_LOG_LINES] if isinstance(text, str)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
