"""The client as a person and a program use it: what it prints, and how it exits."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Daemon, daemon, leave, session

EVIL = "\x1b[31mred\x1b[0m\nsecond line\u202etxet"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("ctl"), settle_seconds=0.05) as made:
        leave(made.sessions, "good", session("good", agent_type=EVIL))
        leave(made.sessions, "bad", session("bad", final_result={"success": False, "score": 0.75, "error": "boom"}))
        leave(made.sessions, "live", session("live", end_time=None, final_result=None))
        for execution_id, status in (("good", "Completed"), ("bad", "Failed"), ("live", "Running")):
            made.wait_for(execution_id, status)
        yield made


def ctl(running: Daemon, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reevd.ctl", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REEV")} | environ
    return subprocess.run(
        command, cwd=running.home, env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_status_says_how_all_stand(running: Daemon) -> None:
    done = ctl(running, "status")
    assert done.returncode == 0
    assert done.stdout.startswith("healthy: 1 Running  1 Completed  1 Failed")
    assert [line.split()[-1] for line in done.stdout.splitlines()[3:]] == ["live", "good", "bad"]


def test_what_came_out_of_a_file_cannot_act_on_the_terminal(running: Daemon) -> None:
    done = ctl(running, "show", "good")
    assert "\\x1b[31mred" in done.stdout
    assert not set("\x1b\u202e") & set(done.stdout + ctl(running, "list").stdout)
    assert json.loads(ctl(running, "--json", "show", "good").stdout)["agent"] == EVIL


def test_json_is_what_the_api_answered(running: Daemon) -> None:
    for arguments in (("--json", "list"), ("list", "--json")):
        assert json.loads(ctl(running, *arguments).stdout) == running.get("/api/v1/executions")
    assert json.loads(ctl(running, "show", "bad", "--json").stdout) == running.get("/api/v1/executions/bad")


def test_list_filters(running: Daemon) -> None:
    done = ctl(running, "list", "--status", "failed", "--since", "9999w", "--min-score", "0.7", "--json")
    assert [item["execution_id"] for item in json.loads(done.stdout)["items"]] == ["bad"]
    done = ctl(running, "list", "--status", "failed", "--why")
    assert done.stdout.splitlines()[-1].endswith("  bad        boom")
    done = ctl(running, "list", "--limit", "1")
    cursor = done.stdout.split()[-1]
    assert "good" in ctl(running, "list", "--cursor", cursor).stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("wait", "good"), 0),
        (("wait", "good", "bad"), 1),
        (("wait", "live", "--timeout", "0.3"), 124),
        (("wait", "nix"), 4),
        (("wait", "nix", "--timeout", "0.3"), 124),
        (("status", "nix"), 4),
        (("show", "../../etc"), 4),
        (("list", "--status", "Sleeping"), 2),
        (("nonsense",), 2),
        ((), 2),
        (("--socket", "/nowhere/at/all", "health"), 3),
        (("health", "--socket", "/nowhere/at/all"), 3),
    ],
)
def test_exit_status(running: Daemon, arguments: tuple[str, ...], status: int) -> None:
    done = ctl(running, *arguments)
    assert done.returncode == status, done.stderr
    assert bool(done.stderr) == (status not in (0, 1))


def test_without_a_daemon_it_says_what_to_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reevd.ctl", "status"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(f"Error: asking reevd on {tmp_path}/logs/state/reevd.sock")
    assert "\nTry: start `reevd`" in done.stderr


def test_the_socket_is_found_by_the_environment(running: Daemon, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "reevd.ctl", "health"]
    environment = {**os.environ, "REEVD_SOCKET": str(running.socket)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.startswith("healthy: reevd ")


def test_every_command_answers(running: Daemon) -> None:
    for arguments in (("health",), ("history", "good"), ("tools", "good"), ("agents",), ("problems",), ("sync",)):
        done = ctl(running, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip()


def test_colour_is_for_terminals_only(running: Daemon) -> None:
    def shown(**environ: str) -> bytes:
        master, slave = pty.openpty()
        command = [sys.executable, "-m", "reevd.ctl", "status"]
        with subprocess.Popen(command, cwd=running.home, stdout=slave, env={**os.environ, **environ}) as process:
            os.close(slave)
            data = b""
            try:
                while piece := os.read(master, 65536):
                    data += piece
            except OSError:
                pass  # the other end of a terminal closes with an error
            process.wait(20)
        os.close(master)
        return data

    assert b"\x1b[31m" in shown()
    assert b"\x1b[" not in shown(NO_COLOR="1")
    assert "\x1b[" not in ctl(running, "status").stdout


def test_a_closed_pipe_is_no_error(running: Daemon) -> None:
    command = f"{sys.executable} -m reevd.ctl list | true"
    done = subprocess.run(command, shell=True, cwd=running.home, capture_output=True, text=True, timeout=20, check=True)
    assert done.stderr == ""
