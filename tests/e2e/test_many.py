"""Many executions by one command: side by side, in order, none in another's way."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from runner.summary import rows
from tests import forked
from tests.harness import ROOT, alive, children, wait_until

FIRST, FAILS = (str(ROOT / "benchmarks" / f"{name}.yml") for name in ("001-sol-transfer", "003-spl-transfer-fail"))
OURS = [sys.executable, "-m", "tests.agents"]


def sessions(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in folder.glob("session_*.json")]


def test_each_so_often_side_by_side_and_told_in_order(tmp_path: Path) -> None:
    done = forked.run(FIRST, FAILS, "--repeat", 6, "--jobs", 3, "--json", "--sessions-dir", tmp_path)
    assert done.returncode == 1
    *told, last = map(json.loads, done.stdout.splitlines())
    assert [each["benchmark_id"] for each in told] == ["001-sol-transfer"] * 6 + ["003-spl-transfer-fail"] * 6
    assert len({each["execution_id"] for each in told}) == 12
    pids = {session["metadata"]["pid"] for session in sessions(tmp_path)}  # type: ignore[index]
    assert 1 < len(pids) <= 3
    summary = {row["benchmark_id"]: row for row in last["summary"]}
    assert (summary["001-sol-transfer"]["succeeded"], summary["001-sol-transfer"]["mean_score"]) == (6, 1.0)
    assert (summary["003-spl-transfer-fail"]["failed"], summary["003-spl-transfer-fail"]["mean_score"]) == (6, 0.75)


def test_one_whose_process_is_killed_fails_alone(tmp_path: Path) -> None:
    done = forked.run(FIRST, FAILS, FIRST, "--jobs", 2, "--agent", "dies", "--sessions-dir", tmp_path)
    assert done.returncode == 1
    assert "running 003-spl-transfer-fail" in done.stderr
    assert "its process was killed by SIGKILL" in done.stderr
    assert done.stdout.count("✔ 001-sol-transfer") == 2
    ended = Counter(session["final_result"] is not None for session in sessions(tmp_path))
    assert ended == {True: 2, False: 1}


def test_one_whose_process_is_killed_has_a_line_of_json_like_the_others(tmp_path: Path) -> None:
    done = forked.run(FIRST, FAILS, "--agent", "dies", "--json", "--sessions-dir", tmp_path)
    good, died, last = map(json.loads, done.stdout.splitlines())
    assert (good["success"], died["success"], died["status"], died["exit_status"]) == (True, False, "Failed", 1)
    assert (died["benchmark_id"], died["score"]) == ("003-spl-transfer-fail", None)
    assert "was killed by SIGKILL" in died["error"]["message"]
    assert (tmp_path / f"session_{died['execution_id']}.json").exists()
    assert [row["mean_score"] for row in last["summary"]] == [1.0, None]


def test_the_summary_of_several_runs_has_their_median_and_mean() -> None:
    told = [
        {"benchmark_id": "a", "success": ms < 50, "score": ms / 100, "execution_time_ms": ms} for ms in (10, 90, 20)
    ]
    (row,) = rows([*told, {"benchmark_id": "a", "died": "killed"}])
    assert (row.runs, row.succeeded, row.failed, row.mean_score, row.median_ms) == (4, 2, 2, 0.4, 20)


def test_one_that_cannot_leave_its_files_says_why_and_the_others_go_on(tmp_path: Path) -> None:
    shared = {**os.environ, "REEV_ENHANCED_OTEL_FILE": str(tmp_path / "shared.jsonl")}
    words = (FIRST, "--repeat", 3, "--jobs", 3, "--agent", "slow", "--sessions-dir", tmp_path)
    done = forked.run(*words, environ=shared)
    assert done.returncode not in (0, 3)
    assert "another run writes to it" in done.stderr
    assert "{session_id}" in done.stderr
    assert "Warning: REEV_ENHANCED_OTEL_FILE" in done.stderr
    assert done.stderr.count("Warning") == 1
    assert "Traceback" not in done.stderr
    assert "✔ 001-sol-transfer" in done.stdout


def test_interrupted_all_end_and_say_so(tmp_path: Path) -> None:
    command = [*OURS, FIRST, "--repeat", "5", "--jobs", "2", "--agent", "hangs"]
    environ = {**os.environ, "REEV_SESSIONS_DIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stderr=subprocess.PIPE)
    wait_until(lambda: len(list(tmp_path.glob("began-*"))) == 2, "two have begun")
    process.send_signal(signal.SIGTERM)  # to the parent alone
    assert process.wait(20) == 130
    assert process.stderr is not None
    process.stderr.close()
    kinds = [session["final_result"]["error"]["kind"] for session in sessions(tmp_path)]  # type: ignore[index]
    assert kinds == ["interrupted", "interrupted"]


def test_workers_do_not_outlive_who_started_them(tmp_path: Path) -> None:
    command = [*OURS, FIRST, "--repeat", "4", "--jobs", "2", "--sessions-dir", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until(lambda: len(children(process.pid)) == 2 or process.poll() is not None, "the workers are there")
    workers = children(process.pid) if process.poll() is None else []
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, workers)), "they have ended")


def test_on_a_terminal_it_shows_how_far_it_is(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runner", FIRST, "--repeat", "3", "--sessions-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "] 2/3" in shown
    assert "\r" not in done.stdout
    assert done.stdout.splitlines()[-1].split()[:4] == ["001-sol-transfer", "3", "3", "0"]


def test_one_id_is_not_for_several() -> None:
    done = forked.run(FIRST, "--repeat", 2, "--execution-id", "x")
    assert done.returncode == 2
    assert "each gets an id of its own" in done.stderr
    assert forked.run(FIRST, "--jobs", 0).returncode == 2
