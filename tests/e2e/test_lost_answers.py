"""A client whose answers are lost on the way: what it asked for is done once, and it says so."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reevd.ctl.main import main
from tests.e2e.test_executor import CASE, STUB, prepare
from tests.harness import Daemon, daemon, leave, session, wait_until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With a runner that goes on until it is stopped."""
    home = tmp_path_factory.mktemp("lost")
    with daemon(home, max_running=8, **prepare(home, f"{STUB}until('{home}/go')\ndone()")) as made:
        yield made
        (home / "go").touch()


@contextmanager
def losing(running: Daemon, path: Path, answers: int) -> Iterator[str]:
    """A socket before the daemon's that loses so many answers to POSTs: the daemon has done what they tell of."""
    left = [answers]

    def carry(near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as far:
            far.connect(str(running.socket))
            while asked := near.recv(65536):
                far.sendall(asked)
                answer = far.recv(65536)
                if asked.startswith(b"POST") and left[0]:
                    left[0] -= 1
                    return
                near.sendall(answer)

    def accept() -> None:
        while True:
            try:
                near = server.accept()[0]
            except OSError:
                return
            threads.append(threading.Thread(target=carry, args=(near,)))
            threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield str(path)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()
    assert left == [0], "no answer was lost: nothing is shown by this"


def ids(running: Daemon) -> list[str]:
    return [e["execution_id"] for e in running.get("/api/v1/executions")["items"]]


def test_a_run_is_queued_once(running: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = ids(running)
    with losing(running, tmp_path / "s", 2) as path:
        assert main(["--socket", path, "run", CASE]) == 0
    new = [found for found in ids(running) if found not in before]
    assert [capsys.readouterr().out.strip()] == new
    with losing(running, tmp_path / "t", 1) as path:
        assert main(["--socket", path, "--json", "run", CASE, "--id", "mine"]) == 0
    assert json.loads(capsys.readouterr().out)["execution_id"] == "mine"


def test_an_id_that_was_taken_before_is_refused(
    running: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By another agent, or long ago: what is there is not what was asked for."""
    assert main(["--socket", str(running.socket), "run", CASE, "--id", "taken", "--agent", "local"]) == 0
    leave(running.sessions, "old", session("old"))
    running.wait_for("old", "Completed")
    for number, name in enumerate(("taken", "old")):
        with losing(running, tmp_path / str(number), 1) as path:
            assert main(["--socket", path, "run", CASE, "--id", name]) == 1
        assert f"there is an execution '{name}'" in capsys.readouterr().err


def test_a_stop_is_done(running: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", str(running.socket), "run", CASE, "--id", "to-stop"]) == 0
    with losing(running, tmp_path / "s", 1) as path:
        assert main(["--socket", path, "stop", "to-stop"]) == 0
    assert "Stopped" in capsys.readouterr().out
    assert main(["--socket", str(running.socket), "stop", "to-stop"]) == 1
    assert "there is nothing to stop" in capsys.readouterr().err


def test_an_engine_that_is_held_up_may_still_do_it(
    running: Daemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's own patience ends here; how long the server's is, is not waited for."""
    monkeypatch.setattr("reevd.ctl.client.SYNC_SECONDS", 0.3)
    assert running.process is not None
    os.kill(running.process.pid, signal.SIGSTOP)
    try:
        assert main(["--socket", str(running.socket), "run", CASE, "--id", "late"]) == 3
        assert "Try: it may still be done: see `reevctl show late`" in capsys.readouterr().err
    finally:
        os.kill(running.process.pid, signal.SIGCONT)
    wait_until(lambda: "late" in ids(running), "it is done all the same", log=running.log)
