"""The contract is the files: what the real runner writes, the daemon understands, field by field.

A field that the runner begins to write, and that this test does not know, fails it: then the daemon must learn
it, or this test must say that it need not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest

from tests.demo import CASES
from tests.harness import ROOT, run_runner
from tests.integration.conftest import Bench

SESSION = {"session_id", "benchmark_id", "agent_type", "start_time", "end_time", "events", "final_result", "metadata"}
FINAL = {"success", "score", "status", "execution_time_ms", "error", "data", "tools"}
TOOL = {"tool_name", "start_time", "end_time", "params", "result", "status"}
LINE = {"timestamp", "session_id", "reev_runner_version", "reev_agent_version", "event_type", "prompt", "tool_input",
        "tool_output", "timing", "metadata"}  # fmt: skip
EVENTS = {"Prompt", "ToolInput", "ToolOutput", "StepComplete"}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("case", CASES)
def test_everything_that_the_runner_writes_is_understood(case: str, bench: Bench) -> None:
    engine = bench.start()
    yml = str(ROOT / "benchmarks" / f"{case}.yml")
    done = run_runner(bench.home, yml, "--execution-id", case, "--sessions-dir", str(bench.sessions))
    assert done.returncode in (0, 1), done.stderr
    names = [f"session_{case}.json", f"enhanced_otel_{case}.jsonl"]
    bench.until(lambda: [bool(f.mark) for f in engine.store.known([case]).files.values()] == [True, True], "at rest")
    assert sorted(path.name for path in bench.sessions.iterdir()) == sorted(names)
    document = json.loads((bench.sessions / names[0]).read_bytes())
    lines = [json.loads(line) for line in (bench.sessions / names[1]).read_bytes().splitlines()]
    row = bench.row(case)
    assert row is not None
    assert not bench.problems()
    assert row.warnings == "[]"

    assert set(document) == SESSION
    assert document["session_id"] == row.execution_id == case
    assert document["benchmark_id"] == row.benchmark_id
    assert document["agent_type"] == row.agent
    assert row.started_at is not None
    assert row.ended_at is not None
    assert document["start_time"] == int(seconds(row.started_at))
    assert document["end_time"] == int(seconds(row.ended_at))
    assert document["metadata"] == json.loads(row.metadata or "null")

    final = document["final_result"]
    assert set(final) == FINAL
    assert json.loads(row.result_data or "null") == {
        "success": final["success"],
        "score": final["score"],
        "source": "session_file",
        "final_result": final,
    }
    assert row.score == final["score"]
    assert row.status == ("Completed" if final["success"] else "Failed")
    assert row.error_message == (final["error"] and final["error"]["message"])

    _telemetry(lines, case)
    query = "SELECT tool_name, started_at, params, result, status FROM tool_calls WHERE execution_id = ? ORDER BY seq"
    calls = engine.store.rows(query, (case,))
    assert row.tool_calls == len(calls) == len(final["tools"]) == sum(e["event_type"] == "ToolInput" for e in lines)
    for (name, started_at, params, result, status), tool in zip(calls, final["tools"], strict=True):
        assert set(tool) == TOOL
        assert (name, started_at, status) == (tool["tool_name"], tool["start_time"], tool["status"])
        assert (json.loads(params), json.loads(result)) == (tool["params"], tool["result"])


def _telemetry(lines: list[dict[str, Any]], case: str) -> None:
    for line in lines:
        assert set(line) == LINE
        assert line["session_id"] == case
        assert line["event_type"] in EVENTS
        assert seconds(line["timestamp"])
    assert [line["event_type"] for line in lines][:1] == ["Prompt"]


def test_the_run_is_seen_from_its_first_moment_with_its_lock(bench: Bench) -> None:
    engine = bench.start()
    seen: list[tuple[str, int]] = []
    engine.patrol.changed = lambda ids: seen.extend((row.status, row.locked) for i in ids if (row := bench.row(i)))
    yml = str(ROOT / "benchmarks" / "001-sol-transfer.yml")
    command = [sys.executable, "-m", "runner", yml, "--execution-id", "seen", "--sessions-dir", str(bench.sessions)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as runner:
        bench.until(lambda: bench.status("seen") == "Completed", "Completed")
        assert runner.wait(20) == 0
    assert seen[0][0] == "Running"
    assert ("Running", 1) in seen
    assert seen[-1] == ("Completed", 1)
