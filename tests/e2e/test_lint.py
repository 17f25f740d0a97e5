"""`reev-runner lint` and the writers that it is for: ours, the example in sh, and every odd one in fixtures/."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner import lint_command
from tests.harness import ROOT, daemon

WRITER = ROOT / "runner" / "schema" / "foreign-writer.sh"
GOOD: dict[str, Any] = {"session_id": "a", "benchmark_id": "001-x", "agent_type": "b", "start_time": 1, "end_time": 2,
                        "final_result": {"success": True, "score": 1, "status": "Succeeded"}}  # fmt: skip
EVENT = {"timestamp": "2026-01-01T00:00:00.000000Z", "session_id": "a"}
INPUT = {**EVENT, "event_type": "ToolInput", "tool_input": {"tool_name": "x", "tool_args": {}}}
OUTPUT = {**EVENT, "event_type": "ToolOutput", "tool_output": {"success": True, "results": None}}


def lint(*paths: Path) -> tuple[int, list[dict[str, str]]]:
    """What the command does, without a process for each of many files."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()):
        status = lint_command.main(["--json", *map(str, paths)])
    return status, [json.loads(line) for line in told.getvalue().splitlines()]


def test_it_is_a_command(tmp_path: Path) -> None:
    path = tmp_path / "session_a.json"
    path.write_text(json.dumps({**GOOD, "session_id": "b"}))
    command = [sys.executable, "-m", "runner", "lint", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "the name says 'a'" in done.stdout


def test_our_own_files_are_clean(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", "benchmarks", "--sessions-dir", str(tmp_path), "--quiet"]
    subprocess.run(command, cwd=ROOT, capture_output=True)
    written = [*tmp_path.glob("*.json"), *tmp_path.glob("*.jsonl")]
    assert len(written) == 2 * sum("\nneeds:" not in case.read_text() for case in (ROOT / "benchmarks").glob("*.yml"))
    assert lint(*written) == (0, [])


@pytest.mark.parametrize(
    ("changed", "where", "what"),
    [
        ({"session_id": "b"}, "/session_id", "the name says 'a'"),
        ({"benchmark_id": 5}, "/benchmark_id", "is not of type 'string'"),
        ({"final_result": {"success": "yes"}}, "/final_result/success", "is not of type 'boolean'"),
        ({"final_result": {"success": True, "score": 1.5}}, "/final_result/score", "greater than the maximum"),
        ({"final_result": {"success": True, "status": "Failed"}}, "/final_result/status", "success is True"),
        ({"end_time": None}, "/end_time", "a result and no end"),
        ({"end_time": 0}, "/end_time", "ends before it begins"),
    ],
)
def test_a_session_that_is_wrong(tmp_path: Path, changed: dict[str, Any], where: str, what: str) -> None:
    path = tmp_path / "session_a.json"
    path.write_text(json.dumps({**GOOD, **changed}))
    status, (finding,) = lint(path)
    assert (status, finding["where"]) == (1, where)
    assert what in finding["what"]
    assert finding["fix"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b'{"session_id": "a", ', "it is no JSON"),
        (b'{"session_id": "a", "session_id": "a"}', "stands twice"),
        (b'{"score": NaN}', "NaN is no JSON"),
        (b'{"session_id": "\xff"}', "no UTF-8"),
        (b"", "it is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json(tmp_path: Path, text: bytes, what: str) -> None:
    path = tmp_path / "session_a.json"
    path.write_bytes(text)
    status, (finding,) = lint(path)
    assert status == 1
    assert what in finding["what"]


@pytest.mark.parametrize(
    ("lines", "where", "what"),
    [
        ([OUTPUT], "1", "no ToolInput is open"),
        ([INPUT, {**OUTPUT, "timestamp": "2025-01-01T00:00:00.000000Z"}], "2", "before that of an earlier line"),
        ([INPUT, {**OUTPUT, "timestamp": "2026-01-01T00:30:00+01:00"}], "2", "before that of an earlier line"),
        ([{**INPUT, "session_id": "b"}], "1", "the name says 'a'"),
        ([{**INPUT, "event_type": "Toolinput"}], "1/event_type", "is not one of"),
        ([{**INPUT, "tool_input": {}}], "1/tool_input", "'tool_name' is a required property"),
    ],
)
def test_telemetry_that_is_wrong(tmp_path: Path, lines: list[dict[str, Any]], where: str, what: str) -> None:
    path = tmp_path / "enhanced_otel_a.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, (finding,) = lint(path)
    assert (status, finding["where"]) == (1, where)
    assert what in finding["what"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-01-01T00:00:01Z", "2026-01-01T00:00:01.5Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T01:30:00+01:00"),
        ("2026-01-01T00:00:01", "2026-01-01T00:00:01Z"),
        ("2026-01-01T00:00:01Z", "yesterday"),
    ],
)
def test_times_are_compared_as_times(tmp_path: Path, first: str, second: str) -> None:
    path = tmp_path / "enhanced_otel_a.jsonl"
    path.write_text("".join(json.dumps({**e, "timestamp": t}) + "\n" for e, t in ((INPUT, first), (OUTPUT, second))))
    assert lint(path) == (0, [])


def test_one_that_cannot_be_read_keeps_no_other_from_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "session_b.json")
    path = tmp_path / "session_a.json"
    path.write_text(json.dumps({**GOOD, "end_time": None}))
    status, (finding,) = lint(tmp_path / "session_b.json", tmp_path / "nowhere.json", path)
    assert (status, finding["where"]) == (2, "/end_time")


def test_a_line_without_its_end_and_a_name_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "otel_a.jsonl"
    path.write_text(json.dumps(INPUT))
    assert "has no newline" in lint(path)[1][0]["what"]
    (tmp_path / "result.json").write_text(json.dumps(GOOD))
    assert "passes over a file of this name" in lint(tmp_path / "result.json")[1][0]["what"]
    assert lint(tmp_path / "nowhere.json")[0] == 2


def test_every_fixture_has_a_verdict(tmp_path: Path) -> None:
    """What reevd reads without a warning is clean; the verdicts of all stand in fixtures/lint.json."""
    verdicts = {}
    for folder in sorted((ROOT / "fixtures" / "sessions").iterdir()):
        files = sorted(f for f in folder.iterdir() if f.name.startswith(("session_", "enhanced_otel_", "otel_")))
        if files:
            _, findings = lint(*files)
            verdicts[folder.name] = sorted({f"{Path(f['file']).name}: {f['where']}" for f in findings})
    expected = ROOT / "fixtures" / "lint.json"
    if os.environ.get("RECORD") or not expected.exists():
        expected.write_text(json.dumps(verdicts, indent=1, sort_keys=True) + "\n")
    assert verdicts == json.loads(expected.read_text())


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_example_in_sh_is_understood(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    with daemon(tmp_path, settle_seconds=0.05) as running:
        for command, status in ((["echo", 'well "done"\n\\'], "Completed"), (["false"], "Failed")):
            written = subprocess.run(
                [shell, str(WRITER), "001-sol-transfer", *command],
                cwd=tmp_path, capture_output=True, text=True, check=True,
            )  # fmt: skip
            execution_id = written.stdout.strip()
            found = running.wait_for(execution_id, status)
            assert (found["agent"], found["tool_calls"]) == ("shell", 1)
            (call,) = running.get(f"/api/v1/executions/{execution_id}/tool-calls")
            assert call["tool_name"] == command[0]
        assert running.get("/api/v1/problems")["items"] == []
    assert lint(*running.sessions.iterdir()) == (0, [])
    told = f"in {len(WRITER.read_text().splitlines())} lines of POSIX sh"
    assert told in (ROOT / "README.md").read_text()


def test_the_example_in_sh_needs_no_folder_and_no_text(tmp_path: Path) -> None:
    command = ["sh", str(WRITER), "001-sol-transfer", "printf", "a\\377b\\303\\251"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    written = list((tmp_path / "logs" / "sessions").iterdir())
    assert len(written) == 2
    assert lint(*written) == (0, [])
    (telemetry,) = (path.read_text() for path in written if path.suffix == ".jsonl")
    assert json.loads(telemetry.splitlines()[1])["tool_output"]["results"] == "abé"
