"""What ends is told to others: traces to a collector, a command, a webhook; at least once, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from reevd.feed.outbox import tallies
from tests.harness import Daemon, children, daemon, leave, session, wait_until
from tests.integration.test_metrics import scrape
from tests.loopback import Loopback, loopback

FAST: dict[str, object] = {"settle_seconds": 0.05}
CALL = {"tool_name": "sol_transfer", "start_time": 1_760_000_001, "end_time": 1_760_000_002, "status": "success",
        "params": {"amount": 7}, "result": {"signature": "s"}}  # fmt: skip


def fresh(name: str, *, success: bool = True, **more: Any) -> dict[str, Any]:
    """A session that ends now: what ended before anybody wanted to hear of it is no news."""
    final = {"success": success, "score": 1.0 if success else 0.25, "status": "", "data": {}, "tools": [CALL]}
    return session(name, start_time=time.time() - 1, end_time=time.time() + 1, final_result=final, **more)


def origins(collector: Loopback) -> dict[str, Any]:
    requests = [ExportTraceServiceRequest.FromString(got.body) for got in collector.got]
    return {k: v for request in requests for each in request.resource_spans for k, v in named(each.resource).items()}


def spans(collector: Loopback) -> list[Any]:
    requests = [ExportTraceServiceRequest.FromString(got.body) for got in collector.got]
    return [
        s for request in requests for resource in request.resource_spans for scope in resource.scope_spans
        for s in scope.spans
    ]  # fmt: skip


def named(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def forwarded(collector: Loopback) -> set[str]:
    return {told["reev.execution.id"] for span in spans(collector) if "reev.execution.id" in (told := named(span))}


def test_executions_become_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=lab")
    with loopback() as collector, daemon(tmp_path, forward_endpoint=collector.address, **FAST) as running:
        leave(running.sessions, "good", session("good", final_result=fresh("good")["final_result"]))
        leave(running.sessions, "bad", fresh("bad", success=False))
        wait_until(lambda: forwarded(collector) == {"good", "bad"}, "both are forwarded", log=running.log)
        assert {got.path for got in collector.got} == {"/v1/traces"}
        roots = {named(s)["reev.execution.id"]: s for s in spans(collector) if not s.parent_span_id}
        good, bad = roots["good"], roots["bad"]
        assert (good.name, named(good)["gen_ai.agent.name"], good.status.code) == (
            "001-sol-transfer",
            "deterministic",
            1,
        )
        assert named(good)["reev.score"] == 1.0
        assert (good.start_time_unix_nano, good.end_time_unix_nano) == (1_760_000_000 * 10**9, 1_760_000_003 * 10**9)
        assert bad.status.code == 2
        (call,) = [s for s in spans(collector) if s.parent_span_id == good.span_id and s.trace_id == good.trace_id]
        assert (call.name, named(call)["gen_ai.tool.call.arguments"]) == ("sol_transfer", '{"amount":7}')
        host = socket.gethostname()
        told = origins(collector)
        assert (told["host.name"], told["service.instance.id"]) == (host, f"{host}/feed"), "hosts can be told apart"
        assert (told["service.name"], told["deployment.environment"]) == ("reevd", "lab")
        assert call.end_time_unix_nano - call.start_time_unix_nano == 10**9


def test_calls_that_come_after_the_ending_are_forwarded_and_nobody_else_hears_of_them(tmp_path: Path) -> None:
    def called(*names: str) -> None:
        lines = (
            {"event_type": "ToolInput", "session_id": "a", "timestamp": f"2025-10-09T08:53:2{n}Z",
             "tool_input": {"tool_name": name, "tool_args": {}}} for n, name in enumerate(names)
        )  # fmt: skip
        (running.sessions / "enhanced_otel_a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def told() -> set[str]:
        return {s.name for s in spans(collector) if s.parent_span_id}

    with loopback() as collector, loopback() as hook:
        followers = {"forward_endpoint": collector.address, "notice_webhook": hook.address}
        with daemon(tmp_path, **followers, **FAST) as running:
            wait_until(Path(f"{running.database}-feed").exists, "it follows", log=running.log)
            final = {"success": True, "score": 1.0, "status": "", "data": {}}
            leave(running.sessions, "a", {**fresh("a"), "final_result": final})
            wait_until(lambda: forwarded(collector) == {"a"} and hook.got, "it is told", log=running.log)
            called("sol_transfer", "jupiter_swap")
            wait_until(lambda: told() == {"sol_transfer", "jupiter_swap"}, "so are its calls", log=running.log)
            sent = len(collector.got)
            (running.sessions / "enhanced_otel_a.jsonl").unlink()  # their going is no news
            running.request("POST", "/api/v1/sync")
            leave(running.sessions, "b", {**fresh("b"), "final_result": final})
            wait_until(lambda: len(hook.got) == 2 and forwarded(collector) == {"a", "b"}, "b is", log=running.log)
            assert (len(collector.got), len(hook.got)) == (sent + 1, 2)


def test_killed_and_with_the_collector_away_each_arrives_with_the_same_ids(tmp_path: Path) -> None:
    with loopback() as collector:
        collector.answers = [503] * 2 + [200, 503, 429]
        with daemon(tmp_path, forward_endpoint=collector.address, **FAST) as running:
            for number in range(30):
                leave(running.sessions, f"n{number}", fresh(f"n{number}"))
                if number % 10 == 5:
                    running.kill()
                    running.start()
            wanted = {f"n{number}" for number in range(30)}
            wait_until(lambda: forwarded(collector) >= wanted, "all have arrived", seconds=30, log=running.log)
            running.stop()
            Path(f"{running.database}-feed").unlink()  # all is told anew
            before = {(s.trace_id, s.span_id) for s in spans(collector)}
            collector.got.clear()
            running.start()
            wait_until(lambda: forwarded(collector) >= wanted, "all have arrived again", log=running.log)
            assert {(s.trace_id, s.span_id) for s in spans(collector)} == before
            assert len(before) == 60


def test_what_a_collector_refuses_for_good_is_given_up_and_told(tmp_path: Path) -> None:
    with loopback() as collector:
        collector.answers = [400]
        with daemon(tmp_path, forward_endpoint=collector.address, **FAST) as running:
            leave(running.sessions, "a", fresh("a"))
            wait_until(lambda: "forwarding given up" in running.log(), "it is told", log=running.log)
            leave(running.sessions, "b", fresh("b"))
            wait_until(lambda: forwarded(collector) == {"b"}, "the next arrives", log=running.log)
            figures = scrape(running)
            told = {
                name: figures[f"reevd_feed_{name}", (("follower", "forward"),)] for name in ("sent_total", "waiting")
            }
            assert told == {"sent_total": 1, "waiting": 0}
            assert figures["reevd_feed_given_up_total", (("follower", "forward"),)] == 1


def test_so_many_a_second_and_no_more(tmp_path: Path) -> None:
    with loopback() as collector:
        running = Daemon(tmp_path, **FAST)
        for number in range(150):
            leave(running.sessions, f"n{number}", fresh(f"n{number}"))
        with daemon(tmp_path, forward_endpoint=collector.address, forward_rate=60, **FAST) as running:
            wait_until(lambda: len(forwarded(collector)) == 150, "all have arrived", log=running.log)
            # Three portions of fifty, two pauses of 50/60 s between them; the first may be slow to arrive.
            assert collector.got[-1].at - collector.got[0].at > 1.2


def script(home: Path, body: str) -> list[str]:
    path = home / "tell.py"
    path.write_text(f"import os, sys, time\n{body}\n")
    return [sys.executable, str(path)]


def lines(path: Path) -> list[list[str]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_command_hears_of_each_ending_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "do-not-tell")
    body = "import json; open('told', 'a').write(json.dumps([*sys.argv[1:], os.environ.get('SOME_API_KEY')]) + '\\n')"
    arguments = ["{execution_id}", "{status}={score}", "{agent} of {benchmark_id}"]
    command = json.dumps([*script(tmp_path, body), *arguments])
    with daemon(tmp_path, notice_command=command, silence_seconds=1, **FAST) as running:
        wait_until(Path(f"{running.database}-feed").exists, "it follows", log=running.log)
        leave(running.sessions, "old", session("old"))
        leave(running.sessions, "a", fresh("a", agent_type="--help; rm -rf $HOME"))
        leave(running.sessions, "late", session("late", start_time=time.time(), end_time=None, final_result=None))
        wait_until(lambda: len(lines(tmp_path / "told")) == 2, "both are told", log=running.log)
        leave(running.sessions, "late", fresh("late"))
        wait_until(lambda: len(lines(tmp_path / "told")) == 3, "the late result is news", log=running.log)
        (running.sessions / "session_a.json").unlink()  # another change, and no other outcome
        running.request("POST", "/api/v1/sync")
        running.stop()
        running.start()
        leave(running.sessions, "b", fresh("b", success=False))
        wait_until(lambda: len(lines(tmp_path / "told")) == 4, "the next is told", log=running.log)
        told = lines(tmp_path / "told")
        assert sorted(line[:2] for line in told) == [
            ["a", "Completed=1.0"], ["b", "Failed=0.25"], ["late", "Completed=1.0"], ["late", "Timeout="],
        ]  # fmt: skip
        (a,) = [line for line in told if line[0] == "a"]
        assert a[2:] == ["--help; rm -rf $HOME of 001-sol-transfer", None]


def test_only_what_is_wanted(tmp_path: Path) -> None:
    wanted = {"notice_statuses": '["Failed"]', "notice_benchmarks": '["00?-sol*", "x"]'}
    with loopback() as hook, daemon(tmp_path, notice_webhook=f"{hook.address}/hook", **wanted, **FAST) as running:
        wait_until(Path(f"{running.database}-feed").exists, "it follows", log=running.log)
        leave(running.sessions, "good", fresh("good"))
        leave(running.sessions, "other", fresh("other", success=False, benchmark_id="100-other"))
        leave(running.sessions, "bad", fresh("bad", success=False))
        wait_until(lambda: hook.got, "it is told", log=running.log)
        running.request("POST", "/api/v1/sync")
        (got,) = hook.got
        assert got.path == "/hook"
        told = json.loads(got.body)
        assert (told["execution_id"], told["status"], told["score"]) == ("bad", "Failed", 0.25)
        assert got.headers["Idempotency-Key"].startswith("bad:Failed:")


def test_a_notice_that_fails_is_tried_again_and_one_that_always_does_is_given_up(tmp_path: Path) -> None:
    with loopback() as hook:
        hook.answers = [500, 302, 422]
        with daemon(tmp_path, notice_webhook=hook.address, notice_attempts=2, **FAST) as running:
            wait_until(Path(f"{running.database}-feed").exists, "it follows", log=running.log)
            leave(running.sessions, "a", fresh("a"))
            wait_until(lambda: "notice given up" in running.log(), "twice is enough", log=running.log)
            leave(running.sessions, "b", fresh("b"))
            wait_until(
                lambda: running.log().count("notice given up") == 2, "what is wrong in itself is final", log=running.log
            )
            leave(running.sessions, "c", fresh("c"))
            wait_until(lambda: hook.got, "the next is told", log=running.log)
            assert [json.loads(got.body)["execution_id"] for got in hook.got] == ["c"]


def test_what_hangs_or_fails_is_in_nobodys_way(tmp_path: Path) -> None:
    body = "open('began', 'a').write('x')\nif sys.argv[1] == 'a': time.sleep(60)\nsys.exit('no luck')"
    command = json.dumps([*script(tmp_path, body), "{execution_id}"])
    settings = {"notice_command": command, "notice_attempts": 1, "notice_seconds": 1.5}
    with daemon(tmp_path, **settings, **FAST) as running:
        wait_until(Path(f"{running.database}-feed").exists, "it follows", log=running.log)
        leave(running.sessions, "a", fresh("a"))
        wait_until((tmp_path / "began").exists, "the command hangs", log=running.log)
        leave(running.sessions, "b", fresh("b"))
        running.wait_for("b", "Completed", seconds=1.4)
        wait_until(lambda: "was killed" in running.log(), "it is killed", log=running.log)
        wait_until(lambda: "no luck" in running.log(), "why the other failed is told", log=running.log)


def test_a_follower_that_dies_comes_back_and_the_daemon_stays(tmp_path: Path) -> None:
    with loopback() as hook, daemon(tmp_path, notice_webhook=hook.address, **FAST) as running:
        # Not by its file alone: what ends before it has noted where it begins, it is not to tell.
        wait_until(lambda: tallies(f"{running.database}-feed"), "it follows", log=running.log)
        assert running.process is not None
        (follower,) = children(running.process.pid, "reevd.feed.follow")
        os.kill(follower, signal.SIGKILL)
        leave(running.sessions, "a", fresh("a"))
        wait_until(lambda: hook.got, "it is told by the next one", log=running.log)
        assert "the follower ended by itself" in running.log()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("notice_command", '["tell", "{nothing}"]', "there are the fields {execution_id}"),
        ("notice_command", '["tell", "{status.__class__}"]', "there are the fields"),
        ("notice_command", "tell it", "is no JSON"),
        ("notice_statuses", '["Done"]', "no status that ends a run"),
        ("notice_webhook", "file:///etc/passwd", "is no address"),
        ("forward_endpoint", "localhost:4318", "is no address"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, name: str, value: str, words: str) -> None:
    command = [sys.executable, "-m", "reevd.cli", "--once", f"--{name.replace('_', '-')}", value]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert words in done.stderr
