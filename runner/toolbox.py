"""The tools as an agent gets them: each call resolved, checked, traced and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from runner.agents import A, Called
from runner.errors import StoppedError
from runner.record import Record
from runner.stop import Stop
from runner.tools import NAMES, Bench, Tool, ToolError
from runner.tools.parameters import read
from runner.tracing import (
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT,
    PROVIDER,
    TOOL_ARGUMENTS,
    TOOL_NAME,
    TOOL_RESULT,
    Measured,
    Tracing,
)

REFUSED = "refused"


def prompt(user: str, final: str | None = None) -> str:
    """A prompt as spans carry it, JSON. `final`: what a model was told in the end; None where none was, or not yet."""
    return orjson.dumps({"tool_name_list": NAMES, "user_prompt": user, "final_prompt": final}).decode()


class RecordedTools:
    def __init__(
        self, tools: Mapping[str, Tool[Any]], bench: Bench, record: Record, tracing: Tracing, stop: Stop
    ) -> None:
        self._tools, self._bench, self._record, self._tracing, self._stop = tools, bench, record, tracing, stop
        tracing.follow(record)
        self._prompt: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    @property
    def definitions(self) -> list[dict[str, Any]]:
        from runner.tools.schema import definition  # a run that asks no model needs none

        return [definition(tool) for tool in self._tools.values()]

    def refuse(self, name: str, error: str) -> None:
        """A call that was asked for in a way that no tool takes: it stands in the record, as what it was."""
        with self._stop.shield(), self._tracing.span("tool", name, {TOOL_NAME: name, TOOL_ARGUMENTS: "{}"}) as measured:
            measured.error, measured.error_type = error, REFUSED
            self._record.event("ToolCall", 1, {"tool_name": name, "params": {}}, at=measured.started_at)
        self._close(name, {}, Called(None, (), error), measured, "error")

    def request(self, model: str, provider: str, ask: Callable[[], A]) -> A:
        """Asks a model; the question, its tokens and its time are traced and recorded, also where it fails."""
        about = {MODEL: model, PROVIDER: provider}
        if self._prompt is not None:
            about[PROMPT], self._prompt = self._prompt, None
        with self._stop.shield(), self._tracing.span("model", model, about) as measured:
            told: dict[str, Any] = {"model": model}
            try:
                with self._stop.exposed():
                    reply = ask()
                told |= {"finish_reason": reply.finish_reason}
                told |= {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
                measured.attributes |= {INPUT_TOKENS: reply.input_tokens, OUTPUT_TOKENS: reply.output_tokens}
            except Exception as error:
                told["error"] = str(error)
                raise
            finally:
                self._record.event("LlmRequest", 1, told, at=measured.started_at)
        return reply

    def told(self, user: str, final: str) -> None:
        """Says what the next question to a model puts to it, for a prompt of the user."""
        self._prompt = prompt(user, final)

    def spend(self, usage: Mapping[str, Any]) -> None:
        self._record.usage.append(dict(usage))

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
                if called.error is not None:
                    measured.error_type = REFUSED
                else:
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
