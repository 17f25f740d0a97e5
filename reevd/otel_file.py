"""Telemetry file: complete lines to evidence, as they arrive. Pure: bytes are handed in.

A line counts once its newline is there. Bytes are split at `\\n` only: JSON text may hold U+2028 and the like.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from reevd.model import ToolCall
from reevd.session_file import call_status, dumps
from reevd.times import rfc3339, to_micros

MAX_LINE = 1 << 20


class BadLine(NamedTuple):
    offset: int
    why: str


class Telemetry:
    """What the lines read so far say. `feed` them in order; start anew where the file was replaced.

    calls       every tool call, in the order of its first line; a call changes in place when it is answered
    steps       StepComplete lines
    first_at    the earliest and latest times that lines carry, microseconds, or None
    bad_lines   how many lines are no JSON object, and the first of them
    """

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self._changed: int | None = 0
        self.steps = 0
        self.lines = 0
        self.first_at: int | None = None
        self.last_at: int | None = None
        self.named_ids: set[str] = set()
        self.bad_lines = 0
        self.first_bad: BadLine | None = None
        self.consumed = 0
        self.locked = False
        self._open: list[int] = []
        self._skipping = False

    def take_changed(self) -> int | None:
        """The index of the first call that changed since this was last asked; None where none did."""
        first, self._changed = self._changed, None
        return first

    def feed(self, data: bytes) -> int:
        """Reads the complete lines of `data`, which begins at offset `consumed`. Returns the bytes taken."""
        end = data.rfind(b"\n") + 1
        start = 0
        for line in data[:end].split(b"\n")[:-1] if end else ():
            if self._skipping:
                self._skipping = False
            else:
                self._line(line, self.consumed + start)
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
        if not isinstance(event, dict):
            self._bad(offset, f"it holds a JSON {type(event).__name__}, not an object")
            return
        self.lines += 1
        self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        at = to_micros(event.get("timestamp"))
        if at is not None:
            self.first_at = at if self.first_at is None else min(at, self.first_at)
            self.last_at = at if self.last_at is None else max(at, self.last_at)
        if isinstance(event.get("session_id"), str) and len(self.named_ids) < 8:
            self.named_ids.add(event["session_id"])
        match event.get("event_type"):
            case "ToolInput":
                self._input(event, at)
            case "ToolOutput":
                self._output(event, at)
            case "StepComplete":
                self.steps += 1
            case "Prompt":
                self.locked |= _object(event, "metadata").get("liveness") == "ofd-lock"
            case None if isinstance(event.get("tool_name"), str):
                self._older(event, at)

    def _input(self, event: dict[str, Any], at: int | None) -> None:
        asked = _object(event, "tool_input")
        name = asked.get("tool_name")
        self._open.append(
            self._append(
                ToolCall(
                    tool_name=name if isinstance(name, str) and name else "unknown",
                    started_at=None if at is None else rfc3339(at),
                    duration_ms=None,
                    params=_json(asked.get("tool_args")),
                    result=None,
                    status="open",
                    error_message=None,
                )
            )
        )

    def _output(self, event: dict[str, Any], at: int | None) -> None:
        answer = _object(event, "tool_output")
        took = _number(_object(event, "timing").get("step_timeuse_ms"))
        error = answer.get("error_message")
        if not self._open:
            began = None if at is None else rfc3339(at)
            self._open.append(self._append(ToolCall("unknown", began, None, None, None, "open", None)))
        self._answer(
            self._open.pop(),
            duration_ms=took,
            result=_json(answer.get("results")),
            status="success" if answer.get("success") is True else "error",
            error_message=error if isinstance(error, str) and error else None,
        )

    def _older(self, event: dict[str, Any], at: int | None) -> None:
        """The older form: one line when a call starts and one when it is done, or only the latter."""
        took, result, error = (event.get(k) for k in ("execution_time_ms", "output_result", "error_message"))
        done = bool(took) or result not in (None, {}, "") or bool(error)
        waiting = [i for i in self._open if self.calls[i].tool_name == event["tool_name"]]
        if done and waiting:
            index = waiting[-1]
            self._open.remove(index)
        else:
            began = None if at is None else rfc3339(at)
            params = _json(event.get("input_params"))
            index = self._append(ToolCall(event["tool_name"], began, None, params, None, "open", None))
            if not done:
                self._open.append(index)
                return
        self._answer(
            index,
            duration_ms=_number(took),
            result=_json(result),
            status=call_status(event.get("status")),
            error_message=error if isinstance(error, str) and error else None,
        )

    def _append(self, call: ToolCall) -> int:
        self.calls.append(call)
        self._touch(len(self.calls) - 1)
        return len(self.calls) - 1

    def _touch(self, index: int) -> None:
        self._changed = index if self._changed is None else min(self._changed, index)

    def _answer(
        self, index: int, *, duration_ms: float | None, result: str | None, status: str, error_message: str | None
    ) -> None:
        self._touch(index)
        self.calls[index] = self.calls[index]._replace(
            duration_ms=duration_ms, result=result, status=status, error_message=error_message
        )


def _object(event: dict[str, Any], field: str) -> dict[str, Any]:
    value = event.get(field)
    return value if isinstance(value, dict) else {}


def _json(value: object) -> str | None:
    return None if value is None else dumps(value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
