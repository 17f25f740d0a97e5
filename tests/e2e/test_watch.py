"""`reevctl watch`, as a process: on a pipe, on a terminal, over a restart of the daemon."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import Daemon, daemon, leave, session, wait_until

COMMAND = [sys.executable, "-m", "reevd.ctl"]
STUB: dict[str, object] = {"end_time": None, "final_result": None}


@contextmanager
def watching(running: Daemon, *arguments: str, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [*COMMAND, "--socket", str(running.socket), "watch", *arguments]
    environ = {**os.environ, "COLUMNS": "140", "LINES": "40"}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE if stdout is None else stdout, stderr=subprocess.PIPE, env=environ
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert process.returncode == 0, errors
        assert errors == b""


def test_a_pipe_gets_a_line_a_change_also_over_a_restart(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, watching(running, "--json") as process:
        assert process.stdout is not None
        heartbeat = json.loads(process.stdout.readline())
        assert heartbeat["event"] == "heartbeat"
        leave(running.sessions, "a", session("a"))
        found = json.loads(process.stdout.readline())
        assert (found["event"], found["execution_id"]) == ("execution", "a")
        running.kill()
        leave(running.sessions, "while-dead", session("while-dead"))
        running.start()
        lines = (json.loads(line) for line in process.stdout)
        assert next(line for line in lines if line.get("execution_id") == "while-dead")["status"] == "Completed"


def test_without_json_a_line_says_who_and_what(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, watching(running, "--agent", "deterministic") as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        names = (f"b{number}" for number in itertools.count())

        def told() -> str:
            assert process.stdout is not None
            leave(running.sessions, name := next(names), session(name, benchmark_id="\x1b[31mred"))
            return (process.stdout.read() or b"").decode()

        line = wait_until(told, "a line").splitlines()[0]
        assert "✔ Completed  1.000" in line
        assert "\x1b" not in line


def test_a_terminal_gets_a_table_that_is_drawn_anew(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    telemetry = {"event_type": "StepComplete", "timestamp": "2026-01-01T00:00:00Z"}
    with daemon(tmp_path, settle_seconds=0.1) as running, watching(running, stdout=theirs):
        os.close(theirs)
        leave(running.sessions, "half", session("half", metadata={"steps_total": 2}, **STUB))
        (running.sessions / "enhanced_otel_half.jsonl").write_text(json.dumps(telemetry) + "\n")
        shown = b""

        def shows(text: bytes) -> bool:
            nonlocal shown
            shown += os.read(ours, 65536)
            return text in shown

        wait_until(lambda: shows("█████░░░░░  50%".encode()), "a bar at a half", log=lambda: repr(shown))
        leave(running.sessions, "half", session("half"))
        wait_until(lambda: shows("✔ Completed".encode()), "its end", log=lambda: repr(shown))
        assert b"\x1b[J" in shown
        assert b"1 Running, 0 Queued" in shown
        assert b"0 Running, 0 Queued" in shown
        leave(running.sessions, "bad", "{")
        wait_until(lambda: shows(b"; 1 file came into trouble"), "a file in trouble", log=lambda: repr(shown))
    os.close(ours)


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    command = [*COMMAND, "--socket", str(tmp_path / "none"), "watch"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
    assert "start `reevd`" in done.stderr
