"""The daemon as a process: started, asked, killed, started again; with real files and the real runner."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT, Daemon, alive, children, daemon, leave, run_runner, session, wait_until

QUICK = {"settle_seconds": 0.05, "rescan_seconds": 0.5}


def reevd(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reevd.cli", *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=30, check=False)


def test_a_run_is_seen_as_it_begins_and_as_it_ends(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        stub = session("run", end_time=None, final_result=None)
        path = leave(running.sessions, "run", stub)
        shown = running.wait_for("run", "Running")
        assert shown["deadline_at"] is not None
        assert shown["score"] is None
        path.write_text(json.dumps(session("run")))
        shown = running.wait_for("run", "Completed")
        assert (shown["score"], shown["progress"], shown["deadline_at"]) == (1.0, 1.0, None)
        history = running.get("/api/v1/executions/run/history")
        assert [step["status"] for step in history] == ["Running", "Completed"]
        assert all(step["reason"] for step in history)


def test_what_happened_while_it_was_down_is_found_at_the_start(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        leave(running.sessions, "before", session("before"))
        running.wait_for("before", "Completed")
        running.stop()
        leave(running.sessions, "between", session("between", final_result={"success": False, "score": 0.75}))
        (running.sessions / "session_before.json").unlink()
        running.start()
        assert running.wait_for("between", "Failed")["score"] == 0.75
        kept = running.wait_for("before", "Completed")
        assert kept["source"]["state"] == "gone"


def test_kill_9_loses_nothing_and_leaves_no_server_behind(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        for number in range(50):
            leave(running.sessions, f"k{number}", session(f"k{number}"))
        assert running.process is not None
        servers = children(running.process.pid)
        running.kill()
        wait_until(lambda: not any(map(alive, servers)), "the server is gone")
        running.start()
        for number in range(50):
            running.wait_for(f"k{number}", "Completed")


def test_a_burst_that_a_kill_cut_short_is_taken_up_and_leaves_no_process_behind(tmp_path: Path) -> None:
    count = 6_000
    with daemon(tmp_path) as running:
        running.stop()
        for number in range(count):
            (running.sessions / f"session_b{number}.json").write_text(json.dumps(session(f"b{number}")))
        running.start(ready=False)
        assert running.process is not None
        pid = running.process.pid
        wait_until(lambda: children(pid, "reevd.scout"), "another process reads ahead", log=running.log)
        started = children(pid)
        running.kill()
        wait_until(lambda: not any(map(alive, started)), "all that it started is gone")
        running.start()
        wait_until(lambda: running.get("/api/v1/health")["executions"]["Completed"] == count, "all are there")


def test_the_end_of_the_server_ends_the_daemon_with_an_error(tmp_path: Path) -> None:
    running = Daemon(tmp_path).start()
    assert running.process is not None
    (server,) = children(running.process.pid, "reevd.api.serve")
    os.kill(server, signal.SIGKILL)
    assert running.process.wait(15) == 1
    assert "the server ended by itself" in running.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    running = Daemon(tmp_path).start()
    assert running.signal(number) == 0
    assert not running.socket.exists()
    assert not running.database.with_name("reevd.sqlite3-wal").exists()


def test_it_ends_though_a_client_holds_its_connection(tmp_path: Path) -> None:
    running = Daemon(tmp_path).start()
    with socket.socket(socket.AF_UNIX) as idle, socket.socket(socket.AF_UNIX) as half:
        idle.connect(str(running.socket))
        half.connect(str(running.socket))
        half.sendall(b"GET /api/v1/health HTTP/1.1\r\nHo")
        assert running.stop() == 0


def test_a_second_daemon_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.process is not None
        second = reevd(tmp_path)
        assert second.returncode == 1
        assert f"process {running.process.pid}" in second.stderr
        assert "Try: " in second.stderr
        other = reevd(tmp_path, "--database", "other.sqlite3")
        assert other.returncode == 1
        assert "another daemon answers there" in other.stderr
        assert running.get("/api/v1/health")["status"] == "healthy"


def test_what_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("text")
    done = reevd(tmp_path, "--socket", "precious")
    assert done.returncode == 2
    assert (tmp_path / "precious").read_text() == "text"


def test_the_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        assert running.socket.stat().st_mode & 0o777 == 0o660
        assert running.database.stat().st_mode & 0o077 == 0


def test_once_reconciles_and_ends(tmp_path: Path) -> None:
    waiting = Daemon(tmp_path)
    leave(waiting.sessions, "one", session("one"))
    assert reevd(tmp_path, "--once").returncode == 0
    with daemon(tmp_path) as running:
        assert running.wait_for("one", "Completed")


def test_a_silent_run_times_out_and_a_late_result_wins(tmp_path: Path) -> None:
    with daemon(tmp_path, **QUICK, silence_seconds=1) as running:
        path = leave(running.sessions, "late", session("late", end_time=None, final_result=None))
        running.wait_for("late", "Running")
        assert "no news" in running.wait_for("late", "Timeout")["reason"]
        running.kill()
        running.start()
        assert running.wait_for("late", "Timeout")
        path.write_text(json.dumps(session("late")))
        assert running.wait_for("late", "Completed")["error_message"] is None


def test_hangup_reads_the_settings_anew(tmp_path: Path) -> None:
    (tmp_path / "reevd.yaml").write_text("silence_seconds: 300\nsettle_seconds: 0.05\n")
    with daemon(tmp_path, config=tmp_path / "reevd.yaml") as running:
        leave(running.sessions, "quiet", session("quiet", end_time=None, final_result=None))
        running.wait_for("quiet", "Running")
        (tmp_path / "reevd.yaml").write_text("silence_seconds: nonsense\n")
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "settings cannot be used" in running.log(), "the refusal is logged")
        (tmp_path / "reevd.yaml").write_text("silence_seconds: 1\nsettle_seconds: 0.05\n")
        running.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "settings read anew" in running.log(), "the settings are taken")
        leave(running.sessions, "next", session("next", end_time=None, final_result=None))
        running.wait_for("next", "Timeout")


def test_zero_configuration(tmp_path: Path) -> None:
    """From a checkout: the daemon, the runner and the client find each other without a flag."""
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    with daemon(tmp_path) as running:
        done = run_runner(tmp_path, "benchmarks/001-sol-transfer.yml", "--json")
        assert done.returncode == 0, done.stderr
        page = wait_until(lambda: running.get("/api/v1/executions?status=Completed")["items"], "the run is there")
        assert (page[0]["benchmark_id"], page[0]["score"]) == ("001-sol-transfer", 1.0)
        command = [sys.executable, "-m", "reevd.ctl", "status"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
        assert "001-sol-transfer" in said.stdout


def test_a_runner_that_dies_without_a_word_is_noticed_within_two_seconds(tmp_path: Path) -> None:
    holder = """
import fcntl, json, os, struct, sys
folder = sys.argv[1]
fd = os.open(f"{folder}/enhanced_otel_dead.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND)
fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
stub = {"session_id": "dead", "benchmark_id": "b", "agent_type": "a", "start_time": 1, "final_result": None,
        "metadata": {"liveness": "ofd-lock"}}
with open(f"{folder}/session_dead.json", "w") as file:
    json.dump(stub, file)
print("there", flush=True)
sys.stdin.read()
"""
    with daemon(tmp_path, settle_seconds=0.2) as running:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, "-c", holder, str(running.sessions)], **pipes) as runner:  # type: ignore[call-overload]
            assert runner.stdout is not None
            runner.stdout.readline()
            running.wait_for("dead", "Running")
            runner.kill()
            runner.wait()
            found = running.wait_for("dead", "Failed", seconds=2.0)
        assert "lock" in found["reason"]
