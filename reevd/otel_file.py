"""Telemetry file: complete lines to evidence, as they arrive. Pure: bytes are handed in.

A line counts once its newline is there. Bytes are split at `\\n` only: JSON text may hold U+2028 and the like.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import orjson

from reevd.model import ToolCall
from reevd.session_file import call_status, dumps
from reevd.times import from_rfc3339, rfc3339, to_micros

MAX_LINE = 1 << 20
# Each costs memory many times its text: a file of 256 MiB could hold nine million.
MAX_CALLS = 500_000
BRACE = ord("{")


class BadLine(NamedTuple):
    offset: int
    why: str


class Telemetry:
    """What the lines read so far say. `feed` them in order; start anew where the file was replaced.

    calls       every tool call, in the order of its first line; a call changes in place when it is answered
    steps       StepComplete lines
    first_at    the earliest time that a line carries, microseconds, or None; last_at: the latest
    held        bytes of text that the calls hold
    bad_lines   how many lines are no JSON object, and the first of them
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._changed: int | None = 0
        self.steps = 0
        self.lines = 0
        self.named_ids: set[str] = set()
        self.bad_lines = 0
        self.first_bad: BadLine | None = None
        self.consumed = self.held = 0
        self.locked = False
        # Calls without an answer, in their order, and the same for each tool.
        self._open: dict[int, None] = {}
        self._open_of: dict[str, list[int]] = {}
        self._first = self._last = ""
        self._second = self._named = ""
        self._skipping = False

    @property
    def first_at(self) -> int | None:
        return from_rfc3339(self._first)

    @property
    def last_at(self) -> int | None:
        return from_rfc3339(self._last)

    def take_changed(self) -> int | None:
        """The index of the first call that changed since this was last asked; None where none did."""
        first, self._changed = self._changed, None
        return first

    def feed(self, data: bytes) -> int:
        """Reads the complete lines of `data`, which begins at offset `consumed`. Returns the bytes taken."""
        end = data.rfind(b"\n") + 1
        start = self.consumed
        for line in data[:end].split(b"\n")[:-1] if end else ():
            if self._skipping:
                self._skipping = False
            elif line:
                # Nearly all lines are an object and nothing else; whatever is not is looked at with care.
                try:
                    event = orjson.loads(line) if line[0] == BRACE and len(line) <= MAX_LINE else None
                except orjson.JSONDecodeError:
                    event = None
                if event is None:
                    self._line(line, start)
                else:
                    self.lines += 1
                    self._event(event)
            start += len(line) + 1
        if self._skipping or len(data) - end > MAX_LINE:
            if not self._skipping:
                self._bad(self.consumed + end, f"it is longer than {MAX_LINE} bytes")
            self._skipping, end = True, len(data)
        self.consumed += end
        return end

    def close(self, rest: bytes) -> None:
        """Reads a last line that never got its newline, once it is known that none will come."""
        if rest.strip() and not self._skipping:
            self._line(rest, self.consumed)

    def _bad(self, offset: int, why: str) -> None:
        self.bad_lines += 1
        self.first_bad = self.first_bad or BadLine(offset, why)

    def _line(self, line: bytes, offset: int) -> None:
        text = line.strip(b" \t\r\xef\xbb\xbf") if offset == 0 else line.strip(b" \t\r")
        if not text or text.startswith(b"#"):
            return
        if len(text) > MAX_LINE:
            self._bad(offset, f"it is longer than {MAX_LINE} bytes")
            return
        try:
            event = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            self._bad(offset, f"it is no JSON: {error}")
            return
        if type(event) is not dict:
            self._bad(offset, f"it holds a JSON {type(event).__name__}, not an object")
            return
        self.lines += 1
        self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        at = self._time(event.get("timestamp"))
        if at is not None:
            # In this form text has the order of time.
            if at > self._last:
                self._last = at
            if at < self._first or not self._first:
                self._first = at
        named = event.get("session_id")
        if named != self._named and type(named) is str and len(self.named_ids) < 8:
            self._named = named
            self.named_ids.add(named)
        kind = event.get("event_type")
        if len(self.calls) >= MAX_CALLS and kind in ("ToolInput", "ToolOutput", None):
            self._bad(self.consumed, f"it has more than {MAX_CALLS:,} tool calls, and no more are kept")
        elif kind == "ToolInput":
            self._input(event, at)
        elif kind == "ToolOutput":
            self._output(event, at)
        elif kind == "StepComplete":
            self.steps += 1
        elif kind == "Prompt":
            self.locked |= _object(event, "metadata").get("liveness") == "ofd-lock"
        elif kind is None and type(event.get("tool_name")) is str:
            self._older(event, at)

    def _time(self, stamp: object) -> str | None:
        """A writer's time in our form, or None where it is none."""
        # Most writers use our form, and many lines share a second: then only the fraction is to be checked.
        if (
            type(stamp) is str
            and len(stamp) == 27
            and stamp[:19] == self._second
            and stamp[19] + stamp[26] == ".Z"
            and (fraction := stamp[20:26]).isdecimal()
            and fraction.isascii()
        ):
            return stamp
        micros = to_micros(stamp)
        if micros is None:
            return None
        at = rfc3339(micros)
        self._second = at[:19]
        return at

    def _input(self, event: dict[str, Any], began: str | None) -> None:
        asked = _object(event, "tool_input")
        name = asked.get("tool_name")
        self._began(name if type(name) is str and name else "unknown", began, _json(asked.get("tool_args")))

    def _output(self, event: dict[str, Any], at: str | None) -> None:
        answer = _object(event, "tool_output")
        if not self._open:
            self._began("unknown", at, None)
        index, _ = self._open.popitem()
        self._open_of[self.calls[index].tool_name].pop()  # the last of all is the last of its tool
        timing = event.get("timing")
        self._ended(
            index,
            _number(timing.get("step_timeuse_ms")) if type(timing) is dict else None,
            _json(answer.get("results")),
            "success" if answer.get("success") is True else "error",
            answer.get("error_message"),
        )

    def _older(self, event: dict[str, Any], at: str | None) -> None:
        """The older form: one line when a call starts and one when it is done, or only the latter."""
        took, result, error = (event.get(k) for k in ("execution_time_ms", "output_result", "error_message"))
        done = bool(took) or result not in (None, {}, "") or bool(error)
        name = event["tool_name"]
        if not (done and self._open_of.get(name)):
            self._began(name, at, _json(event.get("input_params")))
        if done:
            index = self._open_of[name].pop()
            del self._open[index]
            self._ended(index, _number(took), _json(result), call_status(event.get("status")), error)

    def _began(self, name: str, began: str | None, params: str | None) -> None:
        index = len(self.calls)
        self.calls.append(_call((name, began, None, params, None, "open", None)))
        self.held += len(params or "")
        self._open[index] = None
        self._open_of.setdefault(name, []).append(index)
        if self._changed is None:
            self._changed = index

    def _ended(self, index: int, took: float | None, result: str | None, status: str, error: object) -> None:
        name, began, _, params, _, _, _ = self.calls[index]
        told = error if type(error) is str and error else None
        self.held += len(result or "") + len(told or "")
        self.calls[index] = _call((name, began, took, params, result, status, told))
        if self._changed is None or index < self._changed:
            self._changed = index


# Half the time of ToolCall(...), and there may be a hundred thousand of them a second.
_call = partial(tuple.__new__, ToolCall)


def _object(event: dict[str, Any], field: str) -> dict[str, Any]:
    value = event.get(field)
    return value if type(value) is dict else {}


def _json(value: object) -> str | None:
    return None if value is None else dumps(value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
