"""Language models as agents: written conversations replayed by a server on the loopback. A new file is a new test."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.tools import NAMES
from tests import forked
from tests.harness import ROOT
from tests.loopback import listening

CONVERSATIONS = sorted((ROOT / "fixtures" / "conversations").glob("*.yml"))
KEY = "sk-the-key-that-nobody-may-see"
ADDRESSES = {"glm-4.6": "ZAI_API_URL", "glm-4.6-coding": "GLM_CODING_API_URL", "local": "REEV_LOCAL_URL"}
KEYS = {"glm-4.6": "ZAI_API_KEY", "glm-4.6-coding": "GLM_CODING_API_KEY", "local": "REEV_LOCAL_API_KEY"}


def body(answer: dict[str, Any], turn: int) -> bytes:
    """What the server sends of an answer as it is written in a conversation."""
    if "raw" in answer:
        return str(answer["raw"]).encode()
    if "body" in answer:
        return json.dumps(answer["body"]).encode()
    if "models" in answer:
        return json.dumps({"data": [{"id": name} for name in answer["models"]]}).encode()
    message: dict[str, Any] = {"role": "assistant", "content": answer.get("text")}
    for number, call in enumerate(answer.get("calls", ())):
        given = call["arguments"]
        arguments = given if call.get("object") or isinstance(given, str) else json.dumps(given)
        made = {"id": call.get("id", f"id-{turn}-{number}"), "type": "function",
                "function": {"name": call["name"], "arguments": arguments}}  # fmt: skip
        message.setdefault("tool_calls", []).append({k: v for k, v in made.items() if v is not None})
    reason = answer.get("finish_reason", "tool_calls" if "calls" in answer else "stop")
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return json.dumps({"choices": [{"message": message, "finish_reason": reason}], "usage": usage}).encode()


class Service:
    """Replays `answers`; keeps what it was asked, and whatever was wrong with that."""

    def __init__(self, answers: list[dict[str, Any]], model: str) -> None:
        self.answers, self.model = list(answers), model
        self.asked: list[dict[str, Any]] = []
        self.faults: list[str] = []

    def check(self, asked: dict[str, Any]) -> None:
        """As a strict server would: each tool message answers a call that is open, and no call stays open."""
        if asked["model"] != self.model:
            self.faults.append(f"model {asked['model']}")
        if len(asked["tools"]) != len(NAMES):
            self.faults.append("not all tools are told of")
        open_calls: list[str] = []
        for message in asked["messages"]:
            if message["role"] == "tool":
                if message["tool_call_id"] not in open_calls:
                    self.faults.append(f"an answer to no call: {message}")
                else:
                    open_calls.remove(message["tool_call_id"])
            elif open_calls:
                self.faults.append(f"calls without an answer: {open_calls}")
            for call in message.get("tool_calls", ()):
                json.loads(call["function"]["arguments"])
                open_calls.append(call["id"])


@contextmanager
def serving(service: Service) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["Authorization"] != f"Bearer {KEY}":
                service.faults.append(f"Authorization: {self.headers['Authorization']}")
            if self.path != "/v1/chat/completions":
                service.faults.append(self.path)
            service.check(asked)
            service.asked.append(asked)
            self._answer()

        def _answer(self) -> None:
            if not service.answers:
                service.faults.append("asked once more than is written")
            answer = service.answers.pop(0) if service.answers else {"status": 400}
            text = body(answer, len(service.asked))
            self.send_response(answer.get("status", 200))
            for name, value in answer.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """A test's output is no place for it."""

    with listening(Handler) as address:
        yield f"{address}/v1"


def run(
    home: Path, agent: str, case: str, address: str, environ: dict[str, str], *more: str
) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if k not in (*ADDRESSES.values(), *KEYS.values(), "REEV_LOCAL_MODEL")}
    given = {ADDRESSES[agent]: address, KEYS[agent]: KEY, "REEV_RETRY_SECONDS": "0.01", **environ}
    words = (f"benchmarks/{case}.yml", "--agent", agent, "--execution-id", "it", "--sessions-dir", home, *more)
    return forked.run(*words, environ={**known, **given})


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
def test_a_conversation(path: Path, tmp_path: Path) -> None:
    written = yaml.safe_load(path.read_text())
    expect, agent = written["expect"], written.get("agent", "glm-4.6")
    service = Service(written["answers"], written.get("model", "glm-4.6"))
    with serving(service) as address:
        done = run(tmp_path, agent, written["case"], address, written.get("environ", {}))
    session = json.loads((tmp_path / "session_it.json").read_text())
    result, said = session["final_result"], done.stdout + done.stderr
    assert done.returncode == expect["exit"], said
    assert service.faults == []
    assert service.answers == [], "not all of the conversation was held"
    assert result["success"] == (expect["exit"] == 0)
    if "score" in expect:
        assert result["score"] == expect["score"]
    if "tools" in expect:
        assert [[call["tool_name"], call["status"]] for call in result["tools"]] == expect["tools"]
    if "says" in expect:
        assert expect["says"] in result["error"]["message"]
    if "hint" in expect:
        assert expect["hint"] in done.stderr
    if "told" in expect:
        replies = [m["content"] for m in service.asked[-1]["messages"] if m["role"] == "tool"]
        assert any(expect["told"] in reply for reply in replies), replies
    if "thought" in expect:
        assert result["data"]["steps"][0]["thought"] == expect["thought"]
    if "usage" in expect:
        assert session["metadata"]["usage"] == expect["usage"]
        assert telemetry_usage(tmp_path) == {
            name: pytest.approx(expect["usage"][name]) for name in ("input_tokens", "output_tokens", "cost_usd")
        }
    if "prompted" in expect:
        prompts = [m["content"] for m in service.asked[-1]["messages"] if m["role"] == "user"]
        assert expect["prompted"] in prompts[-1]
    if service.asked:
        opening = service.asked[0]["messages"][:2]
        assert final_prompts(tmp_path)[0] == "\n\n".join(message["content"] for message in opening)
    asked = [event for event in session["events"] if event["event_type"] == "LlmRequest"]
    assert len(asked) >= min(1, len(service.asked))
    files = "".join(file.read_text() for file in tmp_path.iterdir())
    assert KEY not in files + said


def final_prompts(home: Path) -> list[str]:
    """What the model was told, as the telemetry has it, step by step."""
    events = [json.loads(line) for line in (home / "enhanced_otel_it.jsonl").read_text().splitlines()]
    prompts = [event["prompt"]["final_prompt"] for event in events if event["event_type"] == "Prompt"]
    return [told for told in prompts if told is not None]


def telemetry_usage(home: Path) -> dict[str, Any]:
    """As the telemetry's steps tell it, in all."""
    events = [json.loads(line) for line in (home / "enhanced_otel_it.jsonl").read_text().splitlines()]
    steps = [event["metadata"]["usage"] for event in events if event["event_type"] == "StepComplete"]
    known = {name: [step[name] for step in steps] for name in steps[0]}
    return {name: None if None in told else sum(told) for name, told in known.items()}


def test_a_call_that_was_cut_off_is_answered_before_the_next_step() -> None:
    """As servers want it: no call without an answer."""
    from runner.agents import Task
    from runner.agents.conversation import going_on

    calls = [{"id": name, "type": "function", "function": {"name": "t", "arguments": "{}"}} for name in ("a", "b")]
    said: list[dict[str, Any]] = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "{}"},
    ]
    *answers, prompt = going_on(said, Task(2, "second", "Step 1 failed: it took too long."))
    assert [(m["role"], m["tool_call_id"]) for m in answers] == [("tool", "b")]
    assert "over before the call came back" in answers[0]["content"]
    assert prompt == {"role": "user", "content": "Step 1 failed: it took too long.\n\nsecond"}
    assert len(going_on([*said, *answers, prompt], Task(3, "third"))) == 1


def test_a_service_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "glm-4.6", "001-sol-transfer", "http://127.0.0.1:9/v1", {})
    assert done.returncode == 3
    assert "Error: asking glm-4.6 at http://127.0.0.1:9: [Errno 111] Connection refused (5 tries)" in done.stderr
    result = json.loads((tmp_path / "session_it.json").read_text())["final_result"]
    assert (result["success"], result["error"]["kind"]) == (False, "agent")


def test_a_service_that_does_not_answer_ends_with_the_run(tmp_path: Path) -> None:
    hang = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hang.wait(30)

    with listening(Silent) as address:
        done = run(tmp_path, "glm-4.6", "001-sol-transfer", address, {}, "--timeout", "1")
        hang.set()
    assert done.returncode == 124
    events = json.loads((tmp_path / "session_it.json").read_text())["events"]
    assert "LlmRequest" in [event["event_type"] for event in events]


def test_every_tool_is_told_of_with_all_its_parameters() -> None:
    from runner.tools import Tools
    from runner.tools.schema import definition

    for tool in Tools().values():
        found = definition(tool)["function"]
        assert found["description"]
        assert found["parameters"]["additionalProperties"] is False
        assert set(found["parameters"]["required"]) <= set(found["parameters"]["properties"])
