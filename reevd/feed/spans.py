"""An execution as a trace: itself the root, each tool call a span below it. The same ids each time. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from reevd import __version__
from reevd.feed.outcome import Outcome
from reevd.model import ToolCall
from reevd.times import from_rfc3339

SCOPE = InstrumentationScope("reevd", __version__)
# The fields hold twice as much, but many who read them do so with a sign.
LATEST = 2**63 - 1
Value = str | float | int


def trace(outcome: Outcome, origin: Resource) -> list[ReadableSpan]:
    """The attributes go by OpenTelemetry's conventions for generative AI, and by reev.* where there is none."""
    root = _context(outcome.execution_id, 0)
    end = _nanos(outcome.ended_at) or _nanos(outcome.started_at) or 0
    start = min(_nanos(outcome.started_at) or end, end)
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": outcome.agent,
        "reev.execution.id": outcome.execution_id,
        "reev.benchmark.id": outcome.benchmark_id,
        "reev.status": outcome.status,
        "reev.score": outcome.score,
        "reev.reason": outcome.reason,
    }
    good = outcome.status == "Completed"
    why = None if good else outcome.error_message or outcome.reason
    spans = [_span(origin, outcome.benchmark_id, root, None, start, end, attributes, why)]
    for number, call in enumerate(outcome.calls, 1):
        spans.append(_call(origin, call, _context(outcome.execution_id, number), root, start, end))
    return spans


def _call(
    origin: Resource, call: ToolCall, context: SpanContext, parent: SpanContext, start: int, end: int
) -> ReadableSpan:
    began = _nanos(call.started_at) or start
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.tool_name,
        "gen_ai.tool.call.arguments": call.params,
        "gen_ai.tool.call.result": call.result,
    }
    took = None if call.duration_ms is None else max(0, int(min(call.duration_ms, 1e9) * 1e6))
    failure = None if call.status == "success" else call.error_message or call.status
    return _span(
        origin,
        call.tool_name,
        context,
        parent,
        began,
        max(end, began) if took is None else min(began + took, LATEST),
        attributes,
        failure,
    )


def _span(
    origin: Resource,
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    start: int,
    end: int,
    attributes: dict[str, Value | None],
    failure: str | None,
) -> ReadableSpan:
    return ReadableSpan(
        name,
        context,
        parent,
        origin,
        {key: value for key, value in attributes.items() if value is not None},
        kind=SpanKind.INTERNAL,
        instrumentation_scope=SCOPE,
        status=Status(StatusCode.OK) if failure is None else Status(StatusCode.ERROR, failure),
        start_time=start,
        end_time=end,
    )


def _context(execution_id: str, number: int) -> SpanContext:
    """Derived from the execution alone: what is sent twice is the same trace, and no second one."""
    trace_id = int.from_bytes(_hash(execution_id)[:16], "big")
    span_id = int.from_bytes(_hash(f"{execution_id}/{number}")[:8], "big")
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _hash(text: str) -> bytes:
    return hashlib.sha256(f"reevd {text}".encode()).digest()


def _nanos(text: str | None) -> int | None:
    micros = from_rfc3339(text) if text else None
    return None if micros is None else min(max(0, micros) * 1000, LATEST)


def traces(outcomes: Iterable[Outcome], origin: Resource) -> list[ReadableSpan]:
    """origin: who sends them"""
    return [span for outcome in outcomes for span in trace(outcome, origin)]
