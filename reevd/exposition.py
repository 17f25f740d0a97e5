"""Metrics: OpenTelemetry's instruments, shown as OpenMetrics, and sent by OTLP where the environment names a place.

Each of the daemon's two processes has its own; the names of their metrics differ, so that both fit into one answer.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest

from reevd import __version__
from reevd.origin import origin

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END = b"# EOF\n"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
CLOSE_MS = 1_000

log = structlog.get_logger("reevd.metrics")


class Exposition:
    """The metrics of one process. `meter` makes instruments; `text` is what they say now."""

    def __init__(self, process: str, environ: Mapping[str, str]) -> None:
        registry = CollectorRegistry()
        readers: list[MetricReader] = [
            PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
        ]
        ProcessCollector(namespace=f"reevd_{process}", registry=registry)
        if any(environ.get(name) for name in ENDPOINTS):
            readers += _otlp()
        self._provider = MeterProvider(readers, resource=origin(process), shutdown_on_exit=False)
        self._registry = registry
        self.meter = self._provider.get_meter("reevd", __version__)

    def text(self) -> bytes:
        """OpenMetrics, without the line that ends it."""
        text: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return text.removesuffix(END)

    def close(self) -> None:
        """Sends the last figures, where they are sent; a collector that is not there is not waited for."""
        self._provider.shutdown(CLOSE_MS)


def _otlp() -> list[MetricReader]:
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    except ImportError as error:
        log.warning("metrics are not sent by OTLP", error=str(error), hint="pip install 'reevd[otlp]'")
        return []
    return [PeriodicExportingMetricReader(OTLPMetricExporter())]
