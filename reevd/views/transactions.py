"""The log of every transaction of an execution, its program calls nested: as YAML, or as a tree. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import orjson

from reevd.views import chain_log
from reevd.views.calls import Call, calls, cut, failed
from reevd.views.cause import cause
from reevd.views.programs import PROGRAMS
from reevd.views.steps import Step, logged, steps
from reevd.views.terminal import counted
from reevd.views.text import line
from reevd.views.trace import final_status
from reevd.views.tree import MOST_LINES, Branch, lines

FORMATS = ("yaml", "plain")


def transactions(execution: Mapping[str, Any], form: str, *, units: bool) -> str:
    """`form` is yaml or plain; with `units`, each call says what it consumed. Empty where there is no log."""
    taken = logged(execution)
    if form == "plain":
        every = (text for step in taken for text in ("", *lines(_tree(step, units=units))))
        return "\n".join(_bounded(every)).removeprefix("\n")
    return "\n".join(_bounded(text for step in taken for text in _document(step, units=units)))


def message(execution: Mapping[str, Any]) -> str:
    """How many transactions left a log, or why none did."""
    count, taken = len(logged(execution)), len(steps(execution))
    if count:
        return f"the logs of {counted(count, 'step')}" + (f", of {taken:,} in all" if count < taken else "")
    if execution["status"] == "Queued":
        return "it waits for its start: there are no transactions yet"
    if final_status(execution) is None:
        return "it runs: logs of its transactions come with its result"
    return f"it ended without logs: {'none of its steps has any' if taken else 'it has no steps'}"


def _bounded(every: Iterator[str]) -> list[str]:
    shown = list(islice(every, MOST_LINES))
    return shown if next(every, None) is None else [*shown, f"# cut after {MOST_LINES:,} lines"]


def _heading(step: Step) -> str:
    return f"Step {step.number}: {line(step.status) if step.status is not None else 'no status'}"


def _tree(step: Step, *, units: bool) -> Branch:
    def below() -> Iterator[Branch]:
        if step.error is not None:
            yield Branch(f"error: {line(step.error)}", map(Branch, cause(step)))
        yield from chain_log.branches(calls(step.logs), units=units)

    return Branch(_heading(step), below())


def _document(step: Step, *, units: bool) -> Iterator[str]:
    parts = calls(step.logs)
    yield f"- step: {step.number}"
    yield f"  status: {_scalar(step.status)}"
    if step.error is not None:
        yield f"  error: {_scalar(step.error)}"
    if causes := cause(step):
        yield "  cause:"
        yield from (f"  - {_scalar(text)}" for text in causes)
    if refused := failed(parts):
        yield f"  failed_program: {_program(refused)}"
    if cut(parts):
        yield "  truncated: true"
    yield "  log:"
    yield from _parts(parts, "  ", units=units)


def _parts(parts: list[Call | str], before: str, *, units: bool) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield f"{before}- {_scalar(part)}"
            continue
        yield f"{before}- program: {_program(part)}"
        yield f"{before}  id: {_scalar(part.program)}"
        yield f"{before}  depth: {part.depth}"
        if units and part.consumed:
            yield f"{before}  consumed: {part.consumed.used}"
            yield f"{before}  of: {part.consumed.of}"
        if part.parts:
            yield f"{before}  log:"
            yield from _parts(part.parts, f"{before}  ", units=units)
        yield f"{before}  result: {_result(part)}"


def _result(call: Call) -> str:
    if call.succeeded is False:
        return _scalar(f"failed: {call.error}")
    return "success" if call.succeeded else "unknown"


def _program(call: Call) -> str:
    return _scalar(PROGRAMS.get(call.program, call.program))


PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_.,()/")
RESERVED = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def _scalar(value: object) -> str:
    """A YAML scalar: plain where it is a plain word, else in double quotes, whose escapes are also YAML's."""
    if value is None:
        return "null"
    text = line(value)
    # A plain scalar may neither look like a number nor like a mark of YAML.
    if text[:1].isalpha() and text[-1] != " " and set(text) <= PLAIN and text.lower() not in RESERVED:
        return text
    return orjson.dumps(text).decode()
