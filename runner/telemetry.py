"""Telemetry: a run as OpenTelemetry spans, and the spans as lines of the telemetry file while they happen.

A run is a span, each of its steps one below it, each call of a tool one below its step.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, StatusCode, set_span_in_context
from opentelemetry.trace import SpanKind as Side

from runner import __version__
from runner.clock import Clock, rfc3339
from runner.otel_file import LOCK, OtelFile, exported
from runner.tracing import (
    COST,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PROMPT,
    STEP_STATUS,
    TOOL_ARGUMENTS,
    TOOL_NAME,
    TOOL_RESULT,
    Measured,
    SpanKind,
    Tracing,
)

EXPORT_SECONDS = 2
KIND = "reev.span"
OPERATION = "gen_ai.operation.name"
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
            _export(provider)
        self._tracer = provider.get_tracer("reev-runner", __version__)
        self._open: list[Span] = []

    def close(self) -> None:
        self._provider.shutdown()

    def begin(self, kind: SpanKind, name: str, measured: Measured) -> Span:
        context = set_span_in_context(self._open[-1], Context()) if self._open else Context()
        attributes = {KIND: kind, OPERATION: OPERATIONS[kind], **measured.attributes}
        # The names and sides are those of the GenAI semantic conventions.
        full = f"{OPERATIONS[kind]} {name}" if kind in ("model", "tool") else name
        side = Side.CLIENT if kind == "model" else Side.INTERNAL
        span = self._tracer.start_span(full, context, side, attributes, start_time=measured.started_at)
        self._open.append(span)
        return span

    def end(self, begun: Span, measured: Measured) -> None:
        self._open.remove(begun)
        begun.set_attributes(measured.attributes)
        if measured.error is not None:
            begun.set_status(StatusCode.ERROR, measured.error)
        begun.end(measured.ended_at)


def _export(provider: TracerProvider) -> None:
    """The spans to a collector as well, in OpenTelemetry's own form. One that is away costs a run seconds at most."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        print("Error: spans are not sent: OTLP is not installed\nTry: pip install 'reevd[otlp]'", file=sys.stderr)
        return
    # What the exporter says of a collector that is away would stand between the lines of the runs.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_SECONDS)))


class Lines(SpanProcessor):
    """Writes the events of the telemetry file: Prompt, ToolInput, ToolOutput, StepComplete."""

    def __init__(self, file: OtelFile, session_id: str, liveness: str | None) -> None:
        self._file, self._session_id, self._liveness = file, session_id, liveness
        self._began = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        assert isinstance(span, ReadableSpan)
        del parent_context
        attributes, at = span.attributes or {}, span.start_time or 0
        if attributes[KIND] == "execution":
            self._began = at
            metadata = {"liveness": LOCK} if self._liveness else {}
            self._line("Prompt", at, prompt=_json(attributes[PROMPT]), metadata=metadata)
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
        elif attributes[KIND] == "step" and STEP_STATUS in attributes:  # else the run broke in it
            metadata: dict[str, Any] = {"step_name": span.name, "status": attributes[STEP_STATUS]}
            if INPUT_TOKENS in attributes:
                metadata["usage"] = {name: attributes.get(attribute) for name, attribute in USAGE.items()}
            self._line("StepComplete", at, metadata=metadata)

    def _line(self, event_type: str, at: int, *, step_nanos: int | None = None, **carried: Any) -> None:
        event = {
            "timestamp": rfc3339(at),
            "session_id": self._session_id,
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
