"""Tool calls as branches of a tree: in short beside a run's steps, or as the steps where the run has no others. Pure.

A call is as the API shows it: {tool_name, started_at, duration_ms, params, result, status, error_message}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reevd.views.accounts import Accounts
from reevd.views.action import action
from reevd.views.instruction import instructions
from reevd.views.text import line, milliseconds, parameters
from reevd.views.tree import Branch

OUTCOMES = {"success": "✔", "error": "✘", "timeout": "✘"}
MOST_LETTERS = 500
Call = Mapping[str, Any]


def in_short(calls: Sequence[Call]) -> Iterator[Branch]:
    """One line a call, and its error."""
    for number, call in enumerate(calls, 1):
        asked, took = parameters(call.get("params"), 300), milliseconds(call.get("duration_ms"))
        text = f"{OUTCOMES.get(call['status'], '…')} {number}. {_name(call)}"
        yield Branch(f"{text}{f' ({took})' if took else ''}{f': {asked}' if asked else ''}", _error(call))


def as_steps(calls: Sequence[Call], *, ended: bool) -> Iterator[Branch]:
    """A step a call: what it was asked and proposed, and what it answered."""
    for number, call in enumerate(calls, 1):
        proposed = instructions(call.get("result"))
        yield Branch(
            f"Step {number}: {_name(call)}",
            [
                Branch("ACTION" if proposed or call.get("params") else "ACTION: no parameters", _asked(call, proposed)),
                Branch(f"OBSERVATION: {_outcome(call, ended=ended)}", _answered(call, proposed)),
            ],
        )


def errors(calls: Sequence[Call]) -> list[str]:
    """What the tools refused, and why."""
    return [f"{_name(call)}: {line(call['error_message'])}" for call in calls if call.get("error_message")]


def _asked(call: Call, proposed: list[Any]) -> Iterator[Branch]:
    if asked := parameters(call.get("params"), MOST_LETTERS):
        yield Branch(f"parameters: {asked}")
    yield from action(proposed, Accounts())


def _outcome(call: Call, *, ended: bool) -> str:
    if call["status"] == "open":
        return "no answer" if ended else "no answer yet"
    took = milliseconds(call.get("duration_ms"))
    return line(call["status"]) + (f" after {took}" if took else "")


def _answered(call: Call, proposed: list[Any]) -> Iterator[Branch]:
    yield from _error(call)
    if call.get("result") is not None and not proposed:
        yield Branch(f"result: {line(call['result'], MOST_LETTERS)}")


def _error(call: Call) -> Iterator[Branch]:
    if call.get("error_message"):
        yield Branch(f"error: {line(call['error_message'])}")


def _name(call: Call) -> str:
    return line(call["tool_name"], 100)
