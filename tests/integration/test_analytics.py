"""Many runs together, over a real socket; and what leaves the daemon as files for other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reevd.api.rows import encode
from tests.asgi import ask
from tests.harness import Daemon, UnixConnection, daemon, leave, session, wait_until

HOSTILE = 'a "quoted"\n,line; é\u2028 =1+1'
RUNS = (
    # agent, benchmark, outcomes in order of time
    ("one", "001-case", [1.0, 1.0, 1.0, 1.0]),
    ("one", "002-case", [0.0, 1.0, 0.0, 1.0]),
    ("two", "001-case", [0.0, 0.5]),
    ("two", "002-case", [1.0, 1.0]),
    ("two", "003-case", [None]),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    home = tmp_path_factory.mktemp("analytics")
    (home / "benchmarks").mkdir()
    for name in ("a", "b", "c"):
        (home / "benchmarks" / f"{name}.yml").write_text(f"id: {name}\n")
    with daemon(home, settle_seconds=0.05) as made:
        count = 0
        for agent, benchmark, scores in RUNS:
            for number, score in enumerate(scores):
                final: dict[str, Any] = {"success": score == 1.0, "score": score, "execution_time_ms": 10 * number}
                final["error"] = None if score == 1.0 else HOSTILE
                when = 1_760_000_000 + 1000 * number
                name = f"{agent}-{benchmark[:3]}-{number}"
                fields: dict[str, Any] = {"start_time": when, "end_time": when + 1, "final_result": final}
                lines = [
                    {"event_type": "ToolInput", "tool_input": {"tool_name": f"t{n}", "tool_args": {"text": HOSTILE}}}
                    for n in range(number)
                ]
                text = "".join(json.dumps(line) + "\n" for line in lines)
                (made.sessions / f"enhanced_otel_{name}.jsonl").write_text(text)
                leave(made.sessions, name, session(name, benchmark_id=benchmark, agent_type=agent, **fields))
                count += 1
        live = session("live", agent_type="one", benchmark_id="001-case", end_time=None, final_result=None)
        leave(made.sessions, "live", live)
        wait_until(lambda: statuses(made) == {"ended": count, "Running": 1}, "all are stored")
        wait_until(lambda: len(tool_calls(made)) == 14, "all calls are stored")
        yield made


def pages(running: Daemon, path: str) -> list[Any]:
    """All items of a list, one a page, as its cursors or its Link headers lead."""
    found: list[Any] = []
    way: str | None = f"/api/v1{path}limit=1"
    with closing(UnixConnection(str(running.socket))) as connection:
        while way is not None:
            connection.request("GET", way)
            answer = connection.getresponse()
            assert answer.status == 200
            body, link = json.loads(answer.read()), answer.headers["Link"]
            items = body if isinstance(body, list) else body["items"]
            assert len(items) <= 1
            found += items
            if isinstance(body, list):
                way = link and link[link.index("/api") : link.index(">")]
            else:
                way = body["next_cursor"] and f"/api/v1{path}limit=1&cursor={body['next_cursor']}"
    return found


@pytest.mark.parametrize(
    "path", ["/agents?", "/benchmarks?", "/executions/live/history?", "/flaky?", "/problems?", "/tool-calls?"]
)
def test_every_list_can_be_walked_to_its_end(running: Daemon, path: str) -> None:
    whole = running.get(f"/api/v1{path}limit=1000")
    items = whole if isinstance(whole, list) else whole["items"]
    assert pages(running, path) == items
    assert len(items) > 1 or path in ("/problems?", "/flaky?", "/executions/live/history?")


def test_agents_are_told_of_a_page_at_a_time(running: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reevd.api.analytics.AGENTS", 1)
    (status, first), (_, second), (_, none) = ask(
        str(running.database),
        "/api/v1/agent-performance",
        f"/api/v1/agent-performance?cursor={encode('one')}",
        f"/api/v1/agent-performance?cursor={encode('two')}",
    )
    assert status == 200
    assert ([each["agent_type"] for each in first], [each["agent_type"] for each in second], none) == (
        ["one"], ["two"], [],
    )  # fmt: skip


def statuses(running: Daemon) -> Counter[str]:
    items = running.get("/api/v1/executions")["items"]
    return Counter("ended" if item["status"] in ("Completed", "Failed") else item["status"] for item in items)


def tool_calls(running: Daemon, query: str = "") -> list[dict[str, Any]]:
    """All pages of them, four at a time."""
    found, cursor = [], ""
    while True:
        page = running.get(f"/api/v1/tool-calls?limit=4{query}{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_agent_performance(running: Daemon) -> None:
    one, two = running.get("/api/v1/agent-performance?limit=3")
    assert (one["agent_type"], one["total_benchmarks"], one["total_executions"]) == ("one", 2, 8)
    assert (one["success_rate"], one["average_score"]) == (0.75, 0.75)
    assert one["success_interval"] == pytest.approx([0.409, 0.929], abs=1e-3)
    assert one["best_benchmarks"] == ["001-case", "002-case"]
    assert one["trend"]["earlier"]["success_rate"] == 0.75
    assert [r["final_status"] for r in one["results"]] == ["Completed"] * 2 + ["Failed"]
    assert sorted(one["results"][0]) == sorted(
        ("session_id", "benchmark_id", "score", "final_status", "timestamp", "execution_time_ms")
    )
    assert one["results"][0]["execution_time_ms"] == 30
    assert (two["total_executions"], two["success_rate"]) == (5, 0.4)
    assert two["average_score"] == pytest.approx(2.5 / 4)  # the one without a score counts in no mean
    (only,) = running.get("/api/v1/agent-performance?agent=one&benchmark_id=002-case&since=2025-10-09T09:00:00Z")
    assert only["total_executions"] == 3
    assert running.get("/api/v1/agent-performance?agent=nobody") == []


def test_compare(running: Daemon) -> None:
    found = running.get("/api/v1/compare?a=one&b=two")
    assert [(r["benchmark_id"], r["outcome"], r["changed"]) for r in found["benchmarks"]] == [
        ("001-case", "win", True),
        ("002-case", "loss", False),
    ]
    assert (found["wins"], found["losses"], found["only_b"]) == (1, 1, ["003-case"])
    assert running.request("GET", "/api/v1/compare?a=one")[0] == 400


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("a=one&b=nobody", "'one' and 'nobody': 'nobody' has no ended execution: take an agent"),
        ("a=nobody&b=one", "'nobody' and 'one': 'nobody' has no ended execution: take an agent"),
        ("a=one&b=two&benchmark_id=9-case", "'one' has no ended execution of 9-case: ask for more, or take an agent"),
        ("a=one&b=two&since=2099-01-01T00:00:00Z", "no ended execution since 2099-01-01T00:00:00.000000Z: ask"),
    ],
)
def test_an_agent_that_cannot_be_compared_is_named_with_what_to_try(running: Daemon, query: str, words: str) -> None:
    status, answer = running.request("GET", f"/api/v1/compare?{query}")
    assert (status, sorted(answer)) == (404, ["error", "message", "timestamp"])
    assert words in answer["message"]
    assert answer["message"].endswith("that has run, as GET /api/v1/agents lists them")


def test_flaky(running: Daemon) -> None:
    found = running.get("/api/v1/flaky")
    assert [(f["benchmark_id"], f["agent_type"], f["newest"], f["flip_rate"]) for f in found["items"]] == [
        ("002-case", "one", "CFCF", 1.0)
    ]
    assert running.get("/api/v1/flaky?min_runs=5")["items"] == []
    assert running.request("GET", "/api/v1/flaky?min_runs=1")[0] == 400


def test_all_tool_calls_come_once_and_in_order(running: Daemon) -> None:
    found = tool_calls(running)
    assert len({(c["execution_id"], c["tool_name"]) for c in found}) == len(found) == 14
    order = [e["execution_id"] for e in running.get("/api/v1/executions")["items"]]
    assert [c["execution_id"] for c in found] == sorted((c["execution_id"] for c in found), key=order.index)
    assert {c["agent"] for c in tool_calls(running, "&agent=two")} == {"two"}
    assert found[0]["params"] == {"text": HOSTILE}
    assert running.request("GET", "/api/v1/tool-calls?cursor=WyJ4Il0")[0] == 400


def export(running: Daemon, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "reevd.ctl", "--socket", str(running.socket), "export", *arguments]
    return subprocess.run(command, capture_output=True, timeout=30)


def test_csv_comes_back_as_it_was(running: Daemon) -> None:
    done = export(running)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert len(rows) == 14
    failed = next(row for row in rows if row["execution_id"] == "one-002-0")
    assert (failed["error_message"], failed["score"], failed["status"]) == (HOSTILE, "0.0", "Failed")
    assert json.loads(failed["result_data"])["success"] is False
    assert next(row for row in rows if row["execution_id"] == "two-003-0")["score"] == ""
    assert done.stdout.count(b"\r\n") >= 15


@pytest.mark.parametrize("form", ["--format=jsonl", "--json"])
def test_json_lines_come_back_as_they_were(running: Daemon, form: str) -> None:
    done = export(running, form, "--what", "tool-calls", "--agent", "one")
    rows = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    assert len(rows) == 12
    assert rows[0]["params"] == {"text": HOSTILE}


def test_parquet_has_types(running: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    done = export(running, "--format", "parquet", "-o", str(path), "--status", "Failed,Completed")
    assert (done.returncode, done.stderr) == (0, f"13 executions in {path}\n".encode())
    table = pq.read_table(path)
    assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("score").type) == "double"
    row = next(r for r in table.to_pylist() if r["execution_id"] == "one-002-0")
    assert (row["score"], row["error_message"], row["created_at"].isoformat()) == (
        0.0, HOSTILE, "2025-10-09T08:53:20+00:00",
    )  # fmt: skip
    assert json.loads(row["source"])["state"] == "present"


def test_a_file_is_written_whole_or_not_at_all(running: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")
    assert export(running, "-o", str(path), "--status", "Sleeping").returncode == 2
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]
    done = export(running, "-o", str(tmp_path / "none" / "out.csv"))
    assert done.returncode == 1
    assert b"No such file" in done.stderr


def test_what_comes_while_it_is_written_changes_nothing(running: Daemon, tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05) as other:
        for number in range(2500):
            leave(other.sessions, f"e{number:04}", session(f"e{number:04}", start_time=1_700_000_000 + number))
        wait_until(lambda: other.get("/api/v1/health")["executions"]["Completed"] == 2500, "all are stored", seconds=30)
        command = [sys.executable, "-m", "reevd.ctl", "--socket", str(other.socket), "export", "--format", "jsonl"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for number in range(300):
                leave(other.sessions, f"new{number}", session(f"new{number}", start_time=1_800_000_000 + number))
            text, _ = process.communicate(timeout=30)
        found = [json.loads(line)["execution_id"] for line in text.splitlines()]
        assert len(found) == len(set(found))
        assert {f"e{number:04}" for number in range(2500)} <= set(found)


def test_the_commands_show_it(running: Daemon) -> None:
    def ctl(*arguments: str) -> str:
        command = [sys.executable, "-m", "reevd.ctl", "--socket", str(running.socket), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "one 8 2 75% 41% to 93% 0.750 75% → 75% = two" in " ".join(ctl("agents").split())
    text = ctl("compare", "one", "two")
    assert "✔ win *" in text
    assert "1 win, 1 loss, 0 ties for one" in text
    assert "CFCF" in ctl("flaky")
    assert json.loads(ctl("flaky", "--json"))["total"] == 1
