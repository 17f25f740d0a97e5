"""Spans of a run, as a collector gets them by OTLP; and what is said where it does not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests import forked
from tests.e2e.test_conversations import KEY, Service, serving
from tests.loopback import Loopback, loopback

SECRET = "the-key-of-the-collector"
TRANSFER = {"user_pubkey": "USER_WALLET_PUBKEY", "recipient_pubkey": "RECIPIENT_WALLET_PUBKEY", "amount": 100_000_000}


def run(home: Path, case: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "REEV_ENH"))}
    environ = {**kept, "OTEL_EXPORTER_OTLP_COMPRESSION": "none", "REEV_RETRY_SECONDS": "0.01", **settings}
    return forked.run(f"benchmarks/{case}.yml", "--sessions-dir", home, *arguments, environ=environ)


class Got:
    """A span: its name, attributes and events; `below`: the name of its parent."""

    def __init__(self, span: Any, names: dict[bytes, str]) -> None:
        self.name, self.kind, self.failed = span.name, span.kind, span.status.code == 2
        self.below = names.get(span.parent_span_id)
        self.told = attributes(span.attributes)
        self.events = {event.name: attributes(event.attributes) for event in span.events}


def attributes(found: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found}


def spans(collector: Loopback) -> dict[str, Got]:
    """By name; the last one where there are several."""
    requests = [ExportTraceServiceRequest.FromString(got.body) for got in collector.got]
    (resource,) = {
        tuple(sorted(attributes(rs.resource.attributes).items())) for r in requests for rs in r.resource_spans
    }
    assert dict(resource)["service.name"] == "reev-runner"
    raw = [span for r in requests for rs in r.resource_spans for ss in rs.scope_spans for span in ss.spans]
    names = {span.span_id: span.name for span in raw}
    return {span.name: Got(span, names) for span in raw}


@pytest.mark.parametrize("file", ["1", "0"])
def test_a_run_is_one_trace_by_the_names_of_the_conventions(file: str, tmp_path: Path) -> None:
    with loopback() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "REEV_ENHANCED_OTEL": file}
        done = run(tmp_path, "001-sol-transfer", "--execution-id", "it", **settings)
        assert (done.returncode, done.stderr) == (0, "")
        assert {got.path for got in collector.got} == {"/v1/traces"}
        found = spans(collector)
    root, call = "invoke_agent deterministic", "execute_tool sol_transfer"
    assert {name: span.below for name, span in found.items()} == {root: None, "step_1": root, call: "step_1"}
    assert {span.told["gen_ai.conversation.id"] for span in found.values()} == {"it"}
    assert not any(span.failed or "error.type" in span.told for span in found.values())
    told = found[root].told
    assert (told["gen_ai.operation.name"], told["gen_ai.agent.name"]) == ("invoke_agent", "deterministic")
    assert (told["reev.execution.id"], told["reev.benchmark_id"]) == ("it", "001-sol-transfer")
    assert told["reev.score"] == 1.0
    assert found[root].events["gen_ai.evaluation.result"] == {
        "gen_ai.evaluation.name": "reev",
        "gen_ai.evaluation.score.value": 1.0,
        "gen_ai.evaluation.score.label": "pass",
    }
    told = found[call].told
    assert (told["gen_ai.operation.name"], told["gen_ai.tool.name"]) == ("execute_tool", "sol_transfer")
    assert json.loads(told["gen_ai.tool.call.arguments"])["amount"] == 100_000_000


def test_a_run_that_fails_says_in_a_word_how_and_keeps_its_score(tmp_path: Path) -> None:
    with loopback() as collector:
        done = run(tmp_path, "003-spl-transfer-fail", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
        assert done.returncode == 1
        found = spans(collector)
    root = found["invoke_agent deterministic"]
    assert (root.failed, root.told["error.type"], root.told["reev.score"]) == (True, "transaction", 0.75)
    assert root.events["gen_ai.evaluation.result"]["gen_ai.evaluation.score.label"] == "fail"
    assert found["step_1"].told["error.type"] == "transaction"
    assert not found["execute_tool spl_transfer"].failed


def test_a_model_is_told_of_with_its_tokens(tmp_path: Path) -> None:
    refused = {"name": "sol_transfer", "arguments": {**TRANSFER, "amount": "100000000"}}
    answers = [{"calls": [refused]}, {"calls": [{"name": "sol_transfer", "arguments": TRANSFER}]}, {"text": "Sent."}]
    with loopback() as collector, serving(Service(answers, "glm-4.6")) as address:
        settings = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.address}/of/traces", "ZAI_API_KEY": KEY}
        done = run(tmp_path, "001-sol-transfer", "--agent", "glm-4.6", ZAI_API_URL=address, **settings)
        assert (done.returncode, done.stderr) == (0, "")
        assert {got.path for got in collector.got} == {"/of/traces"}
        raw = [ExportTraceServiceRequest.FromString(got.body) for got in collector.got]
        found = spans(collector)
    chat = found["chat glm-4.6"]
    assert (chat.kind, chat.below) == (3, "step_1")  # 3: CLIENT
    assert {
        name: chat.told[name] for name in chat.told if name.startswith("gen_ai.") and "conversation" not in name
    } == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "z.ai",
        "gen_ai.request.model": "glm-4.6",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
    }
    assert found["invoke_agent glm-4.6"].kind == 1  # INTERNAL
    assert found["step_1"].told["gen_ai.usage.input_tokens"] == 300
    every = [s for r in raw for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]
    calls = [attributes(span.attributes) for span in every if span.name == "execute_tool sol_transfer"]
    assert [call.get("error.type") for call in calls] == ["refused", None]


def test_a_model_that_is_away_is_an_error_of_the_agent(tmp_path: Path) -> None:
    with loopback() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.address, "ZAI_API_KEY": KEY}
        done = run(tmp_path, "001-sol-transfer", "--agent", "glm-4.6", "--execution-id", "it", **settings)
        assert done.returncode == 3
        found = spans(collector)
    for name in ("invoke_agent glm-4.6", "step_1", "chat glm-4.6"):
        assert (found[name].failed, found[name].told["error.type"]) == (True, "agent")
        assert found[name].told["gen_ai.conversation.id"] == "it"
    assert "reev.score" not in found["invoke_agent glm-4.6"].told


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{SECRET}@127.0.0.1:9/{SECRET}?key={SECRET}"},
            "Connection refused",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "protocol grpc"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_COMPRESSION": "x"}, "refused"),
    ],
)
def test_a_collector_that_cannot_be_had_spoils_nothing_and_is_told_of_once(
    settings: dict[str, str], says: str, tmp_path: Path
) -> None:
    done = run(tmp_path, "001-sol-transfer", "--repeat", "2", "--jobs", "2", **settings)
    assert done.returncode == 0
    assert done.stderr.count("Error: sending spans to http://127.0.0.1:9: ") == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert SECRET not in done.stderr
    results = [json.loads(path.read_text())["final_result"] for path in tmp_path.glob("session_*.json")]
    assert [result["success"] for result in results] == [True] * 2


def test_a_collector_that_refuses_is_told_of(tmp_path: Path) -> None:
    with loopback() as collector:
        collector.answers = [401] * 9
        done = run(tmp_path, "001-sol-transfer", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
    assert done.returncode == 0
    assert f"Error: sending spans to {collector.address}: it answered 401\nTry: " in done.stderr
