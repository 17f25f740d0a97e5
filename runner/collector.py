"""Spans to a collector, by OTLP over HTTP. One that fails costs a run seconds at most, and is told of once."""

from __future__ import annotations

import logging
import mmap
import re
import sys
from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from runner.otel_file import ENDPOINTS
from runner.site import shown

EXPORT_SECONDS = 2
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
EXPORTER_LOG = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
ERRNO = re.compile(r"\[Errno -?\d+\] [\w ]+")
STATUS = re.compile(r"\bcode: (\d{3})\b")

# Shared with the processes that many runs are forked into: what ails one of them ails them all.
_told = mmap.mmap(-1, 1)


def processor(environ: Mapping[str, str]) -> SpanProcessor | None:
    """Sends spans to the collector that the settings name. None where it cannot, which is told."""
    where = shown(next(environ[name] for name in ENDPOINTS if environ.get(name)))
    protocol = next((environ[name] for name in PROTOCOLS if environ.get(name)), SPOKEN)
    if protocol != SPOKEN:
        _tell(where, f"the protocol {protocol} is not spoken here", f"{PROTOCOLS[1]}={SPOKEN}, and the port for it")
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        _tell(where, "OTLP is not installed", "pip install 'reevd[otlp]'")
        return None
    # What it logs would stand between the lines of the runs, again and again.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return BatchSpanProcessor(_Exporter(OTLPSpanExporter(timeout=EXPORT_SECONDS), where))


class _Exporter(SpanExporter):
    def __init__(self, inner: SpanExporter, where: str) -> None:
        self._inner, self._where, self._said = inner, where, _Said()
        logger = logging.getLogger(EXPORTER_LOG)
        logger.handlers, logger.propagate = [self._said], False
        logger.setLevel(logging.WARNING)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._said.why = ""
        result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            hint = f"see whether it takes OTLP over HTTP there (4318 is its usual port), or unset {ENDPOINTS[1]}"
            _tell(self._where, self._said.why or f"it did not answer within {EXPORT_SECONDS} s", hint)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _Said(logging.Handler):
    """The reason, out of what the exporter logs. Its whole words hold the address, in which there may be a key."""

    why = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        errno, status = ERRNO.search(text), STATUS.search(text)
        if errno:
            self.why = errno[0]
        elif status:
            self.why = f"it answered {status[1]}"
        elif "Transient error" in text:
            self.why = "it broke off, or is not ready"


def _tell(where: str, why: str, hint: str) -> None:
    if _told[0]:
        return
    _told[0] = 1
    print(f"Error: sending spans to {where}: {why}\nTry: {hint}", file=sys.stderr, flush=True)
