"""The tools as an agent gets them: each call resolved, checked, traced and recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from runner.agents import Called
from runner.errors import StoppedError
from runner.record import Record
from runner.stop import Stop
from runner.tools import Bench, Tool, ToolError
from runner.tools.parameters import read
from runner.tracing import TOOL_ARGUMENTS, TOOL_NAME, TOOL_RESULT, Measured, Tracing


class RecordedTools:
    def __init__(
        self, tools: Mapping[str, Tool[Any]], bench: Bench, record: Record, tracing: Tracing, stop: Stop
    ) -> None:
        self._tools, self._bench, self._record, self._tracing, self._stop = tools, bench, record, tracing, stop

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def call(self, name: str, arguments: Mapping[str, Any]) -> Called:
        """A call that is refused comes back with its error; a chain that fails, or the run's end, is raised."""
        # Telemetry and session file must tell the same of a call: only the tool's own work can be interrupted.
        with self._stop.shield():
            return self._traced(name, arguments)

    def _traced(self, name: str, arguments: Mapping[str, Any]) -> Called:
        called, measured, status = Called(None, (), None), None, "error"
        asked = {TOOL_NAME: name, TOOL_ARGUMENTS: orjson.dumps(dict(arguments)).decode()}
        try:
            with self._tracing.span("tool", name, asked) as measured:
                data = {"tool_name": name, "params": dict(arguments)}
                self._record.event("ToolCall", 1, data, at=measured.started_at)
                with self._stop.exposed():
                    called = self._answer(name, arguments)
                measured.error, status = called.error, "success" if called.error is None else "error"
                if called.error is None:
                    measured.attributes[TOOL_RESULT] = orjson.dumps(called.result).decode()
        except StoppedError as stopped:
            called, status = Called(None, (), None), "timeout" if stopped.kind == "timeout" else "error"
            raise
        finally:
            if measured is not None:
                self._close(name, dict(arguments), called, measured, status)
        return called

    def _answer(self, name: str, arguments: Mapping[str, Any]) -> Called:
        tool = self._tools.get(name)
        try:
            if tool is None:
                raise ToolError(f"there is no tool {name}; there are {', '.join(self._tools)}")
            answer = tool.call(read(tool.parameters, arguments, self._bench.keys.address), self._bench)
        except ToolError as error:
            return Called(None, (), str(error))
        return Called(answer.result, answer.instructions, None)

    def _close(self, name: str, arguments: Any, called: Called, measured: Measured, status: str) -> None:
        data = {"tool_name": name, "status": status, "result": called.result, "error_message": measured.error}
        self._record.event("ToolResult", 1, data, at=measured.ended_at)
        self._record.tool(name, arguments, called.result, measured, status)
