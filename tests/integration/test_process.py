"""The daemon's process under signals, beside a second one, and with nobody who reads what it says."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest

from tests.harness import Daemon, alive, children, daemon, leave, session, wait_until

QUICK = {"settle_seconds": 0.05, "rescan_seconds": 0.5}


class Burst:
    """Leaves runs without a pause, every third of them torn first, until it is told to end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.left = folder, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Burst:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.001):
            name = f"b{self.left}"
            if self.left % 3 == 0:
                (self.folder / f"session_{name}.json").write_text('{"final_result": {"succ')
            leave(self.folder, name, session(name))
            self.left += 1

    def until(self, count: int) -> None:
        wait_until(lambda: self.left >= count, f"{count} runs are left")


def all_are_there(running: Daemon, burst: Burst) -> None:
    def reached() -> bool:
        health = running.get("/api/v1/health")
        return health["executions"]["Completed"] == burst.left and health["problems"] == 0

    wait_until(reached, f"all {burst.left} are Completed", log=running.log)


def test_sigterm_in_a_burst_ends_it_soon_and_loses_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path, **QUICK) as running:
        with Burst(running.sessions) as burst:
            burst.until(100)
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 5
            assert "Traceback" not in running.log()
            burst.until(burst.left + 50)  # nobody watches
            running.start()
        all_are_there(running, burst)


def test_a_server_that_hangs_is_killed_and_what_was_left_meanwhile_is_stored(tmp_path: Path) -> None:
    with daemon(tmp_path, **QUICK) as running:
        assert running.process is not None
        (server,) = children(running.process.pid, "reevd.api.serve")
        os.kill(server, signal.SIGSTOP)
        leave(running.sessions, "x", session("x"))
        db = apsw.Connection(str(running.database), flags=apsw.SQLITE_OPEN_READONLY)
        stored = "SELECT count(*) FROM execution_states WHERE status = 'Completed'"
        wait_until(lambda: db.execute(stored).fetchall() == [(1,)], "it is stored without the server", log=running.log)
        db.close()
        assert running.stop() == 0
        assert not alive(server)
        assert "killing it" in running.log()


def test_kill_9_in_a_burst_again_and_again_loses_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path, **QUICK) as running:
        with Burst(running.sessions) as burst:
            for _ in range(3):
                burst.until(burst.left + 50)
                running.kill()
                running.start(ready=False)
        wait_until(running._ready, "the daemon is ready", log=running.log)
        all_are_there(running, burst)
    assert not list(running.database.parent.glob("*.damaged-*"))


def test_hangups_in_a_burst_cost_neither_an_answer_nor_a_run(tmp_path: Path) -> None:
    with daemon(tmp_path, **QUICK) as running:
        assert running.process is not None
        with Burst(running.sessions) as burst:
            for number in range(20):
                running.process.send_signal(signal.SIGHUP)
                burst.until(10 * number)
                running.get("/api/v1/executions")
        wait_until(lambda: "settings read anew" in running.log(), "the settings are taken")
        all_are_there(running, burst)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0


def second(home: Path, database: str) -> subprocess.CompletedProcess[str]:
    """Another daemon, with a socket and a folder of its own, that ends after one round."""
    command = [sys.executable, "-m", "reevd.cli", "--database", database]
    command += ["--socket", "other.sock", "--sessions-dir", "other", "--once"]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    "alias",
    ["folder", "file"],
)
def test_a_second_daemon_is_refused_by_whatever_name_it_calls_the_database(tmp_path: Path, alias: str) -> None:
    with daemon(tmp_path) as running:
        assert running.process is not None
        if alias == "folder":
            (tmp_path / "alias").symlink_to(running.database.parent)
            name = "alias/reevd.sqlite3"
        else:
            (tmp_path / "alias.sqlite3").symlink_to(running.database)
            name = "alias.sqlite3"
        done = second(tmp_path, name)
        assert done.returncode == 1, done.stderr
        assert f"process {running.process.pid}" in done.stderr
        leave(running.sessions, "x", session("x"))
        running.wait_for("x", "Completed")


@pytest.mark.parametrize("what", ["database", "socket", "sessions-dir"])
def test_a_place_that_cannot_be_used_is_named_with_a_way_out(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "further" / "below"
    command = [sys.executable, "-m", "reevd.cli", f"--{what}", str(place)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode in (1, 2)
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("Error: ")
    assert str(tmp_path / "file") in error
    assert "Not a directory" in error
    assert hint.startswith("Try: ")
    assert "Traceback" not in done.stderr


def test_nobody_reads_stderr(tmp_path: Path) -> None:
    """A full pipe: what is said is lost, and nothing else is."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    running = Daemon(tmp_path)
    environ = {**os.environ, **{f"REEVD_{name.upper()}": str(value) for name, value in QUICK.items()}}
    command = [sys.executable, "-m", "reevd.cli"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=write_end, stdin=subprocess.DEVNULL) as process:
        os.close(write_end)
        try:
            running.process = process
            wait_until(running._ready, "it is ready")
            for number in range(200):
                (running.sessions / f"session_-{number}.json").write_text("each is a line in the log")
            leave(running.sessions, "x", session("x"))
            running.wait_for("x", "Completed")
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: running.get("/api/v1/health")["problems"] == 200, "all problems are shown")
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 5
        finally:
            process.kill()
            os.close(read_end)


@pytest.mark.parametrize("step", ["hold", "open_engine", "start_server"])
def test_a_hang_up_while_it_starts_is_heard(tmp_path: Path, step: str) -> None:
    """Whatever it is at: what was set after the settings were read is to be in force."""
    hangs_up = f"""
import os, signal, sys
from reevd import cli, daemon
go_on = daemon.{step}
def {step}(*of):
    os.kill(os.getpid(), signal.SIGHUP)
    return go_on(*of)
daemon.{step} = {step}
raise SystemExit(cli.main([]))
"""
    running, log = Daemon(tmp_path), tmp_path / "log"
    with log.open("wb") as errors:
        running.process = subprocess.Popen([sys.executable, "-c", hangs_up], cwd=tmp_path, stderr=errors)
    try:
        wait_until(lambda: "settings read anew" in log.read_text(), "the settings are read anew", log=log.read_text)
        leave(running.sessions, "x", session("x"))
        running.wait_for("x", "Completed")
    finally:
        assert running.stop() == 0


class Systemd:
    """The socket that systemd listens on; what was told it, as it came."""

    def __init__(self, path: Path) -> None:
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end.bind(str(path))
        self._end.settimeout(10)

    def told(self, word: str) -> list[str]:
        """All that came up to the first message that holds the word."""
        messages: list[str] = []
        while not messages or word not in messages[-1]:
            messages.append(self._end.recv(4096).decode())
        return messages

    def falls_silent(self) -> bool:
        """Whether a second goes by without a word, twice as long as the loop is ever quiet."""
        self._end.settimeout(1)
        try:
            return not self._end.recv(4096)
        except TimeoutError:
            return True
        finally:
            self._end.settimeout(10)

    def close(self) -> None:
        self._end.close()


def test_systemd_hears_what_the_loop_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come from the loop itself: where it hangs they end, and systemd starts the daemon anew."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    systemd = Systemd(tmp_path / "notify")
    with contextlib.closing(systemd), daemon(tmp_path, **QUICK) as running:
        assert running.process is not None
        before = systemd.told("READY=1")
        assert before[0].startswith("EXTEND_TIMEOUT_USEC="), "a migration comes before there is a loop to ask for it"
        assert before[-1].startswith("READY=1")
        systemd.told("WATCHDOG=1")
        systemd.told("WATCHDOG=1")
        running.process.send_signal(signal.SIGHUP)
        reloading = systemd.told("RELOADING=1")[-1]
        assert "MONOTONIC_USEC=" in reloading
        systemd.told("READY=1")
        with contextlib.closing(apsw.Connection(str(running.database))) as other:
            other.set_busy_timeout(10_000)  # the daemon may be writing just now
            other.execute("BEGIN IMMEDIATE")
            leave(running.sessions, "x", session("x"))  # storing it waits for the other writer
            wait_until(systemd.falls_silent, "the loop waits, and so nothing speaks for it")
            other.execute("ROLLBACK")
        systemd.told("WATCHDOG=1")
        running.wait_for("x", "Completed")
        running.process.send_signal(signal.SIGTERM)
        assert "STOPPING=1" in systemd.told("STOPPING=1")[-1]
