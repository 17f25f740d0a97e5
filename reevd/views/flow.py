"""The flow of a run: from the prompt over each tool call to its end. Pure.

An execution is as the API shows it, with `result_data` and `metadata` as JSON values; so are its tool calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reevd.views.accounts import Accounts
from reevd.views.instruction import Instruction, instructions
from reevd.views.meaning import meaning
from reevd.views.steps import Step, final_result, prompt, steps
from reevd.views.terminal import counted
from reevd.views.text import line, milliseconds, parameters, percent, prose
from reevd.views.trace import final_status

MOST_STATES = 100
MOST_MOVES = 20
LABEL = 90


class Move(NamedTuple):
    """What went from where to where."""

    source: str
    target: str
    what: str


class State(NamedTuple):
    """One thing that the run did. `asked`: its parameters; `outcome`: success, error, or what else its writer says."""

    name: str
    asked: str
    took: str
    outcome: str
    error: str
    moves: tuple[Move, ...]


class Flow(NamedTuple):
    """`states` are the first MOST_STATES of `total`; `ended`: how it ended, None while it goes on."""

    prompt: str
    agent: str
    states: tuple[State, ...]
    total: int
    ended: str | None
    summary: str


def flow(execution: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> Flow:
    """Of the tool calls where there are any, else of the steps that the result holds."""
    taken = steps(execution)
    accounts = _accounts(taken)
    found = [_called(call, accounts) for call in calls[:MOST_STATES]] or [_step(step) for step in taken[:MOST_STATES]]
    ended = final_status(execution)
    score = percent(execution.get("score"))
    why = _brief(line(execution.get("error_message") or ""))
    summary = ", ".join(filter(None, (ended or execution["status"], score and f"score {score}", why)))
    total = max(execution.get("tool_calls", 0), len(calls)) if calls else len(taken)
    asked = _brief(prose(prompt(execution) or ""))
    return Flow(asked, line(execution["agent"], 60), tuple(found), total, ended, summary)


def facts(execution: Mapping[str, Any], drawn: Flow, calls: int) -> dict[str, Any]:
    """What the API tells beside the diagram."""
    took = final_result(execution).get("execution_time_ms")
    return {
        "benchmark_id": execution["benchmark_id"],
        "agent_type": execution["agent"],
        "state_count": len(drawn.states) + 2,  # the prompt and the agent
        "tool_count": calls,
        "execution_time_ms": took if isinstance(took, int | float) and not isinstance(took, bool) else None,
        "status": execution["status"],
        "score": execution.get("score"),
        "started_at": execution.get("started_at"),
        "ended_at": execution.get("ended_at"),
        "error_message": execution.get("error_message"),
        "message": _message(drawn),
    }


def _message(drawn: Flow) -> str:
    if not drawn.states:
        return "nothing is known of what it did" if drawn.ended else "nothing is known yet of what it does"
    more = drawn.total - len(drawn.states)
    return counted(len(drawn.states), "state") + (f", and {more:,} more that are not drawn" if more > 0 else "")


def _called(call: Mapping[str, Any], accounts: Accounts) -> State:
    return State(
        line(call["tool_name"], 60),
        _brief(parameters(call.get("params"))),
        milliseconds(call.get("duration_ms")),
        call["status"],
        _brief(line(call.get("error_message") or "")),
        tuple(_moves(instructions(call.get("result")), accounts)),
    )


def _step(step: Step) -> State:
    status = step.status.lower() if isinstance(step.status, str) else ""
    return State(
        f"Step {step.number}",
        _brief(prose(step.thought or "")),
        "",
        status,
        _brief(line(step.error or "")),
        tuple(_moves(step.instructions, step.accounts)),
    )


def _brief(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


def _moves(several: Sequence[Instruction], accounts: Accounts) -> Iterator[Move]:
    for instruction in several[:MOST_MOVES]:
        found = meaning(instruction, accounts)
        if found is not None and found.moves is not None:
            what, source, target = found.moves
            yield Move(line(source, 60), line(target, 60), line(what, 60))


def _accounts(taken: Sequence[Step]) -> Accounts:
    """The names and states of all steps, the later one's where two tell of one account."""
    names: dict[str, str] = {}
    states: dict[str, Any] = {}
    for step in taken:
        names |= step.accounts.addresses
        states |= step.accounts.states
    return Accounts(names, states)
