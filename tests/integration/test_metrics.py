"""/metrics: what Prometheus reads, and what an OTLP collector gets."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.harness import Daemon, UnixConnection, daemon, leave, session, wait_until
from tests.loopback import loopback


def scrape(running: Daemon) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by its name and labels, read as Prometheus would."""
    connection = UnixConnection(str(running.socket))
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        families = text_string_to_metric_families(answer.read().decode())
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}
    finally:
        connection.close()


def test_what_is_measured(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05) as running:
        scrape(running)  # from now on it is measured, if it was not before
        leave(running.sessions, "a", session("a"))
        running.wait_for("a", "Completed")
        (running.sessions / "session_b.json").write_text("{")
        wait_until(lambda: running.get("/api/v1/problems")["items"], "the problem is seen")
        running.request("POST", "/api/v1/sync")
        found = scrape(running)

        def value(name: str, **labels: str) -> float:
            return found[name, tuple(sorted(labels.items()))]

        assert value("reevd_executions", status="Completed") == 1
        assert value("reevd_ingest_latency_seconds_count") >= 1
        assert 0 < value("reevd_ingest_latency_seconds_sum") < 60
        assert value("reevd_transaction_duration_seconds_count") >= 1
        assert value("reevd_rescans_total") >= 2
        assert value("reevd_overflows_total") == 0
        assert value("reevd_problems") == 1
        assert value("reevd_rows_stored_total") >= 1
        assert value("reevd_degraded") == 0
        assert value("reevd_engine_up") == 1
        assert value("reevd_database_size_bytes") == running.database.stat().st_size
        assert value("reevd_requests_total", method="POST", path="/api/v1/sync", status="200") == 1
        assert value("reevd_requests_total", method="GET", path="/api/v1/executions/{id}", status="200") >= 1
        assert value("reevd_requests_time_seconds_total", method="POST", path="/api/v1/sync", status="200") > 0
        assert value("reevd_engine_process_resident_memory_bytes") > 1e6
        assert value("reevd_server_process_resident_memory_bytes") > 1e6


def test_what_a_burst_measured_is_recorded_to_the_last(tmp_path: Path) -> None:
    """By the pace at which it is recorded once nothing else is to be done, and at once for whoever asks."""
    name = "reevd_ingest_latency_seconds_count"
    with daemon(tmp_path, settle_seconds=0.05) as running:
        before = scrape(running).get((name, ()), 0)
        for number in range(1_200):
            leave(running.sessions, f"m{number}", session(f"m{number}"))
        wait_until(lambda: running.get("/api/v1/health")["executions"]["Completed"] == 1_200, "all are there")
        assert scrape(running)[name, ()] - before >= 1_200


SHORT = """
import builtins, errno, os
whole = builtins.__import__
def load(name, *rest, **named):
    if name == "reevd.meters" and os.path.exists("short"):
        os.write(os.open("short", os.O_WRONLY | os.O_APPEND), b"x")
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return whole(name, *rest, **named)
builtins.__import__ = load
"""


def test_what_cannot_be_loaded_for_now_is_measured_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(SHORT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    short = tmp_path / "short"
    short.touch()
    with daemon(tmp_path, settle_seconds=0.05) as running:
        wait_until(short.read_text, "it is tried", log=running.log)
        for _ in range(20):
            assert ("reevd_rescans_total", ()) not in scrape(running)
        assert 1 <= len(short.read_text()) < 10, "not in every round"
        assert running.log().count("nothing is measured") == 1
        short.unlink()
        wait_until(lambda: ("reevd_rescans_total", ()) in scrape(running), "it is", log=running.log)


def test_odd_addresses_make_no_more_than_one_series(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        for number in range(50):
            running.request("GET", f"/nowhere/{number}")
        found = scrape(running)
        paths = {dict(labels)["path"] for name, labels in found if name == "reevd_requests_total"}
        assert "other" in paths
        assert not any("nowhere" in path for path in paths)


def test_a_collector_gets_the_same_by_otlp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")

    def names() -> set[str]:
        requests = [ExportMetricsServiceRequest.FromString(got.body) for got in collector.got]
        scopes = [scope for r in requests for resource in r.resource_metrics for scope in resource.scope_metrics]
        return {metric.name for scope in scopes for metric in scope.metrics}

    def instances() -> set[str]:
        requests = [ExportMetricsServiceRequest.FromString(got.body) for got in collector.got]
        resources = [each.resource for request in requests for each in request.resource_metrics]
        return {a.value.string_value for each in resources for a in each.attributes if a.key == "service.instance.id"}

    with loopback() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
        with daemon(tmp_path) as running:
            name = f"{socket.gethostname()}/engine"
            wait_until(lambda: name in instances(), "the host's name is told with them", log=running.log)
            wait_until(lambda: "reevd.wal.size" in names(), "figures come", log=running.log)
            leave(running.sessions, "a", session("a"))
            wait_until(lambda: "reevd.ingest.latency" in names(), "and that of the file", log=running.log)


def test_a_collector_that_is_not_there_delays_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    with daemon(tmp_path) as running:
        leave(running.sessions, "a", session("a"))
        running.wait_for("a", "Completed", seconds=5)
        scrape(running)  # by now both processes send, or try to
        leave(running.sessions, "b", session("b"))
        running.wait_for("b", "Completed", seconds=5)
        assert running.stop() == 0
