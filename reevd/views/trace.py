"""The trace of an execution: what it did step by step and what came of it, as a tree. Pure.

An execution is as the API shows it, with `result_data` and `metadata` as JSON values; so are its tool calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reevd.times import from_rfc3339
from reevd.views import tools
from reevd.views.action import action
from reevd.views.cause import cause, refused_instruction
from reevd.views.judgement import judgement
from reevd.views.observation import observation
from reevd.views.steps import Step, final_result, prompt, steps
from reevd.views.terminal import MARKS, counted
from reevd.views.text import line, milliseconds, percent, prose
from reevd.views.tree import Branch, draw, some

MOST_STEPS = 200
MOST_ERRORS = 3
ENDINGS = {"Completed": "Succeeded", "Failed": "Failed", "Stopped": "Stopped", "Timeout": "Timeout"}


def final_status(execution: Mapping[str, Any]) -> str | None:
    """How it ended: Succeeded, Failed, Stopped or Timeout; None where it has not ended."""
    return ENDINGS.get(execution["status"])


def is_running(execution: Mapping[str, Any]) -> bool:
    return bool(execution["status"] == "Running")


def trace(execution: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> str:
    """The tree: the outcome, then why, then each step with its action and observation."""
    status = execution["status"]
    score = percent(execution.get("score")) or "none"
    title = f"{MARKS.get(status, '?')} {line(execution['benchmark_id'], 200)} (Score: {score})"
    return draw(Branch(f"{title}: {final_status(execution) or status}", _below(execution, calls)))


def message(execution: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> str:
    """What the trace is made of, or why there is none yet."""
    count = len(steps(execution))
    if count:
        return counted(count, "step")
    absent = _absent(execution)
    if calls:
        why = f"{absent}; it is traced by" if final_status(execution) else "it runs; known so far:"
        return f"{why} {counted(len(calls), 'tool call')}"
    if execution["status"] == "Queued":
        return "it waits for its start: there is nothing to trace yet"
    if final_status(execution) is None:
        return "it runs, and nothing is known of its steps yet"
    return f"it ended without a trace: {absent}, and no tool calls are known"


def _absent(execution: Mapping[str, Any]) -> str:
    """Why there are no steps."""
    if final_result(execution):
        return "its result holds no steps"
    stored = execution.get("result_data")  # a text where the result could not be stored: it says why
    return f"its result is not known {line(stored)}" if isinstance(stored, str) else "it left no result"


def _below(execution: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> Iterator[Branch]:
    taken = steps(execution)
    yield from _why(execution, taken, calls)
    yield Branch(f"agent: {line(execution['agent'], 200)}")
    yield Branch(_status(execution))
    yield Branch(f"execution: {line(execution['execution_id'])}{_took(execution)}")
    if asked := prompt(execution):
        yield Branch(f"prompt: {prose(asked)}")
    yield from judgement(execution, taken)
    if taken and calls:
        yield Branch("tool calls", some(tools.in_short(calls), MOST_STEPS, "tool calls"))
    if taken:
        yield from some(map(_step, taken), MOST_STEPS, "steps")
    else:
        yield Branch(f"trace: {message(execution, calls)}")
        ended = final_status(execution) is not None
        yield from some(tools.as_steps(calls, ended=ended), MOST_STEPS, "tool calls")
    if (missing := execution.get("tool_calls", 0) - len(calls)) > 0:
        yield Branch(f"… and {missing:,} more tool calls: see its tool calls")


def _why(execution: Mapping[str, Any], taken: list[Step], calls: Sequence[Mapping[str, Any]]) -> Iterator[Branch]:
    """For what did not succeed: the error, and the cause that its last step with one tells, else its tools."""
    if execution["status"] in ("Completed", "Queued", "Running"):
        return
    causes = next((found for step in reversed(taken) if (found := cause(step))), tools.errors(calls)[-MOST_ERRORS:])
    error = execution.get("error_message") or execution.get("reason")
    yield Branch(f"why: {line(error)}", map(Branch, causes))


def _step(step: Step) -> Branch:
    below = [
        Branch("ACTION" if step.instructions else "ACTION: no instructions", _action(step)),
        observation(step),
    ]
    if step.thought:
        below.insert(0, Branch(f"THOUGHT: {prose(step.thought, 1_000)}"))
    return Branch(f"Step {step.number}", below)


def _action(step: Step) -> Iterator[Branch]:
    yield from action(step.instructions, step.accounts, refused_instruction(step))


def _status(execution: Mapping[str, Any]) -> str:
    """With the reason, where that is not said already; and how far it is, where it runs and tells."""
    status, reason = execution["status"], execution.get("reason")
    why = f", {line(reason, 300)}" if reason and reason != execution.get("error_message") else ""
    done = execution.get("progress") or 0
    return f"status: {status}{why}{f', {percent(done)} done' if done and final_status(execution) is None else ''}"


def _took(execution: Mapping[str, Any]) -> str:
    took = milliseconds(final_result(execution).get("execution_time_ms"))
    if not took and execution.get("started_at") and execution.get("ended_at"):
        began, ended = (from_rfc3339(execution[name]) for name in ("started_at", "ended_at"))
        took = milliseconds((ended - began) / 1000) if began is not None and ended is not None else ""
    return f", took {took}" if took else ""
