"""Telemetry: a run as OpenTelemetry spans, and the spans as lines of the telemetry file while they happen.

A run is a span, each of its steps one below it, each call of a tool one below its step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, StatusCode, set_span_in_context
from opentelemetry.trace import SpanKind as Side

from runner import __version__
from runner.clock import Clock, rfc3339
from runner.otel_file import LOCK, OtelFile, exported
from runner.tracing import (
    AGENT_NAME,
    COST,
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT,
    STEP_STATUS,
    TOOL_ARGUMENTS,
    TOOL_NAME,
    TOOL_RESULT,
    Measured,
    Run,
    SpanKind,
    Tracing,
)

KIND = "reev.span"
OPERATION = "gen_ai.operation.name"
CONVERSATION = "gen_ai.conversation.id"
ERROR_TYPE, OTHER = "error.type", "_OTHER"
EXECUTION_ID, SCORE = "reev.execution.id", "reev.score"
EVALUATION = "gen_ai.evaluation"
OPERATIONS: dict[SpanKind, str] = {
    "execution": "invoke_agent",
    "step": "invoke_workflow",
    "tool": "execute_tool",
    "model": "chat",
}


USAGE = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS, "cost_usd": COST}


class Telemetry(Tracing):
    """Sends each span to the SDK, as the child of the one that is open. `lines` is None where no file is wanted."""

    def __init__(self, clock: Clock, lines: Lines | None, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__(clock)
        # Set here, not by the environment: a line must come out whole, and every time.
        limits = SpanLimits(
            max_span_attributes=SpanLimits.UNSET,
            max_attribute_length=SpanLimits.UNSET,
            max_span_attribute_length=SpanLimits.UNSET,
        )
        provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": "reev-runner", "service.version": __version__}),
            span_limits=limits,
            shutdown_on_exit=False,
        )
        if lines is not None:
            provider.add_span_processor(lines)
        self._provider = provider
        if exported(environ):
            from runner.collector import processor  # loaded by those alone that send

            sending = processor(environ)
            if sending is not None:
                provider.add_span_processor(sending)
        self._tracer = provider.get_tracer("reev-runner", __version__)
        self._open: list[Span] = []
        self._root: tuple[Span, Measured] | None = None
        self._run: Run | None = None
        self._execution_id = lines.session_id if lines is not None else None

    def follow(self, run: Run) -> None:
        self._run, self._execution_id = run, run.execution_id
        for span in self._open:
            span.set_attribute(CONVERSATION, run.execution_id)

    def close(self) -> None:
        """The run's own span ends here: it tells how the run was judged, which comes after its last work."""
        if self._root is not None:
            self._judge(*self._root)
        self._provider.shutdown()

    def begin(self, kind: SpanKind, name: str, measured: Measured) -> Span:
        context = set_span_in_context(self._open[-1], Context()) if self._open else Context()
        measured.attributes |= {KIND: kind, OPERATION: OPERATIONS[kind]}
        if self._execution_id is not None:
            measured.attributes[CONVERSATION] = self._execution_id
        # The names and sides are those of the GenAI semantic conventions.
        whose = str(measured.attributes.get(AGENT_NAME, name)) if kind == "execution" else name
        full = name if kind == "step" else f"{OPERATIONS[kind]} {whose}"
        side = Side.CLIENT if kind == "model" else Side.INTERNAL
        span = self._tracer.start_span(full, context, side, measured.attributes, start_time=measured.started_at)
        self._open.append(span)
        return span

    def end(self, begun: Span, measured: Measured) -> None:
        self._open.remove(begun)
        begun.set_attributes(measured.attributes)
        if measured.error is not None:
            begun.set_status(StatusCode.ERROR, measured.error)
            begun.set_attribute(ERROR_TYPE, measured.error_type or OTHER)
        if measured.attributes.get(KIND) == "execution":
            self._root = begun, measured
        else:
            begun.end(measured.ended_at)

    def _judge(self, root: Span, measured: Measured) -> None:
        if self._execution_id is not None:
            root.set_attribute(EXECUTION_ID, self._execution_id)
        judged = self._run.judged if self._run else None
        if judged is not None and judged.error_type is not None:
            root.set_attribute(ERROR_TYPE, judged.error_type)
        if judged is not None and judged.score is not None:
            root.set_attribute(SCORE, judged.score)
            label = "pass" if judged.succeeded else "fail"
            told: dict[str, str | float] = {f"{EVALUATION}.name": "reev", f"{EVALUATION}.score.label": label}
            told[f"{EVALUATION}.score.value"] = judged.score
            root.add_event(f"{EVALUATION}.result", told, measured.ended_at)
        root.end(measured.ended_at)


class Lines(SpanProcessor):
    """Writes the events of the telemetry file: Prompt, ToolInput, ToolOutput, StepComplete."""

    def __init__(self, file: OtelFile, session_id: str, liveness: str | None) -> None:
        self._file, self.session_id, self._liveness = file, session_id, liveness
        self._began = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        assert isinstance(span, ReadableSpan)
        del parent_context
        attributes, at = span.attributes or {}, span.start_time or 0
        if attributes[KIND] == "execution":
            self._began = at
        if PROMPT in attributes:
            self._line("Prompt", at, prompt=_json(attributes[PROMPT]), metadata=self._place(span.name, attributes))
        elif attributes[KIND] == "tool":
            arguments = _json(attributes[TOOL_ARGUMENTS])
            self._line("ToolInput", at, tool_input={"tool_name": attributes[TOOL_NAME], "tool_args": arguments})

    def on_end(self, span: ReadableSpan) -> None:
        attributes, at = span.attributes or {}, span.end_time or 0
        failed = span.status.status_code is StatusCode.ERROR
        if attributes[KIND] == "tool":
            result = attributes.get(TOOL_RESULT)
            output = {
                "success": not failed,
                "results": None if result is None else _json(result),
                "error_message": span.status.description if failed else None,
            }
            self._line("ToolOutput", at, step_nanos=at - (span.start_time or at), tool_output=output)
        elif attributes[KIND] == "step":
            metadata: dict[str, Any] = {"step_name": span.name, "status": attributes[STEP_STATUS]}
            if INPUT_TOKENS in attributes:
                metadata["usage"] = {name: attributes.get(attribute) for name, attribute in USAGE.items()}
            self._line("StepComplete", at, metadata=metadata)

    def _place(self, name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Of a prompt: the run's first, a step's, or what a model was told."""
        match attributes[KIND]:
            case "execution":
                return {"liveness": LOCK} if self._liveness else {}
            case "step":
                return {"step_name": name}
        return {"model": attributes[MODEL]}

    def _line(self, event_type: str, at: int, *, step_nanos: int | None = None, **carried: Any) -> None:
        event = {
            "timestamp": rfc3339(at),
            "session_id": self.session_id,
            "reev_runner_version": __version__,
            "reev_agent_version": __version__,
            "event_type": event_type,
            "prompt": None,
            "tool_input": None,
            "tool_output": None,
            "timing": {"flow_timeuse_ms": _ms(at - self._began), "step_timeuse_ms": _ms(step_nanos)},
            "metadata": {},
        }
        self._file.append(event | carried)


def _ms(nanos: int | None) -> float | None:
    """Milliseconds to the microsecond: most calls on the embedded chain take less than one."""
    return None if nanos is None else round(nanos / 1e6, 3)


def _json(attribute: Any) -> Any:
    return orjson.loads(attribute)
