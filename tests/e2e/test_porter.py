"""Runs that a porter carries: as systemd would start one for each connection, and here a few lines do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_executor import STUB, prepare, run, spool, stop
from tests.harness import daemon, wait_until


@pytest.fixture
def porter(tmp_path: Path) -> Iterator[Path]:
    """A socket that starts a porter for each connection, the connection as its stdin."""
    path = tmp_path / "run.sock"
    started: list[subprocess.Popen[bytes]] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    end, _ = listening.accept()
                except OSError:
                    return
                with end:
                    started.append(subprocess.Popen([sys.executable, "-m", "reevd.runs.porter"], stdin=end))

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in started:
        each.wait(10)


def test_a_run_goes_through_a_porter(tmp_path: Path, porter: Path) -> None:
    with daemon(tmp_path, porter=porter, **prepare(tmp_path)) as running:
        for number in range(4):
            run(running, f"a{number}")
        for number in range(4):
            assert running.wait_for(f"a{number}", "Completed")["score"] == 1.0
        wait_until(lambda: not spool(running), "all jobs are cleared away")


def test_it_is_stopped_and_killed_through_the_porter(tmp_path: Path, porter: Path) -> None:
    stubborn = f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{STUB}until('{tmp_path}/never')"
    with daemon(tmp_path, porter=porter, stop_seconds=0.3, **prepare(tmp_path, stubborn)) as running:
        run(running, "a")
        running.wait_for("a", "Running")
        assert stop(running, "a")[1]["status"] == "Stopped"
        wait_until(lambda: not spool(running), "the runner is gone, and the job with it")


def test_its_crash_is_told_with_its_last_words(tmp_path: Path, porter: Path) -> None:
    with daemon(tmp_path, porter=porter, **prepare(tmp_path, "sys.exit('out of luck')")) as running:
        run(running, "a")
        said = running.wait_for("a", "Failed")["error_message"]
        assert said == "its runner ended with exit status 1 and left no result: out of luck"


def test_a_runner_that_cannot_be_started_is_told(tmp_path: Path, porter: Path) -> None:
    settings = {**prepare(tmp_path), "runner": tmp_path / "nowhere"}
    with daemon(tmp_path, porter=porter, **settings) as running:
        run(running, "a")
        said = running.wait_for("a", "Failed")["error_message"]
        assert "could not be started: No such file or directory" in said


def test_where_nothing_listens_that_is_told(tmp_path: Path) -> None:
    with daemon(tmp_path, porter=tmp_path / "nobody.sock", **prepare(tmp_path)) as running:
        run(running, "a")
        assert "No such file or directory" in running.wait_for("a", "Failed")["error_message"]


def test_it_outlives_a_daemon_that_was_killed(tmp_path: Path, porter: Path) -> None:
    body = f"{STUB}open('{tmp_path}/pid', 'w').write(str(os.getpid()))\nuntil('{tmp_path}/go')\ndone()"
    with daemon(tmp_path, porter=porter, **prepare(tmp_path, body)) as running:
        run(running, "a")
        running.wait_for("a", "Running")
        wait_until((tmp_path / "pid").exists, "the runner runs")
        running.kill()
        running.start()
        assert "runner found again" in running.log()
        (tmp_path / "go").touch()
        running.wait_for("a", "Completed")
        wait_until(lambda: not spool(running), "the job is cleared away")


def test_a_porter_that_is_killed_with_its_runner_is_seen(tmp_path: Path, porter: Path) -> None:
    body = f"{STUB}open('{tmp_path}/pids', 'w').write(f'{{os.getpid()}} {{os.getppid()}}')\nuntil('{tmp_path}/go')"
    with daemon(tmp_path, porter=porter, **prepare(tmp_path, body)) as running:
        run(running, "a")
        running.wait_for("a", "Running")
        wait_until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text(), "the runner runs")
        runner, carrier = map(int, (tmp_path / "pids").read_text().split())
        os.kill(carrier, signal.SIGTERM)
        os.kill(runner, signal.SIGKILL)
        found = running.wait_for("a", "Failed")
        assert "its runner was ended with the unit that carried it" in found["error_message"]
