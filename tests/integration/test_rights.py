"""Who may connect and who may change things: asked by another user's process, not by ourselves."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Daemon, leave, session

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

STRANGER = 65_534
SOCKET_GROUP = 61_234
"""Of the socket; no group of this host needs to have the number."""
ASK = """
import encodings.idna, http.client, json, os, socket, sys
user, *groups = json.loads(sys.argv[5])
os.setgroups(groups)
os.setresgid(user, user, user)
os.setresuid(user, user, user)
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(sys.argv[1])
connection = Connection("reevd")
try:
    connection.request(sys.argv[2], sys.argv[3], sys.argv[4] or None, {"Content-Type": "application/json"})
except OSError as error:
    print(json.dumps([0, type(error).__name__]))
else:
    answer = connection.getresponse()
    print(json.dumps([answer.status, json.loads(answer.read())]))
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Daemon]:
    """A daemon whose socket another user can reach, and whose admin group is a real one of this host."""
    admins = grp.getgrgid(1).gr_name
    with tempfile.TemporaryDirectory(prefix="reevd-rights-") as home:
        os.chmod(home, 0o755)
        made = Daemon(Path(home), admin_group=admins, socket=Path(home) / "reevd.sock")
        (Path(home) / "benchmarks").mkdir()
        made.start()
        os.chown(made.socket, -1, SOCKET_GROUP)
        leave(made.sessions, "live", session("live", end_time=None, final_result=None))
        made.wait_for("live", "Running")
        try:
            yield made
        finally:
            made.stop()


def ask(running: Daemon, groups: list[int], method: str, path: str, body: str = "") -> tuple[int, object]:
    """As a stranger in these groups: the status and the answer; 0 and the error where it cannot connect."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", ASK),
            *(str(running.socket), method, f"/api/v1{path}", body, json.dumps([STRANGER, *groups])),
        ],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    status, answer = json.loads(done.stdout)
    return status, answer


CHANGES = (
    ("POST", "/sync", ""),
    ("POST", "/benchmarks/none/run", '{"agent": "deterministic"}'),
    ("POST", "/benchmarks/none/stop/live", ""),
    ("POST", "/upsert-yml", '{"yml_content": "id: x"}'),
    ("POST", "/prune", '{"days": 36500, "dry_run": true}'),
)
FOR_ADMINS = (*CHANGES, ("GET", "/backup", ""))


def test_who_is_not_in_the_sockets_group_cannot_connect(running: Daemon) -> None:
    assert ask(running, [], "GET", "/health") == (0, "PermissionError")


def test_who_can_connect_may_read(running: Daemon) -> None:
    for path in ("/health", "/executions", "/executions/live", "/benchmarks", "/problems", "/agents"):
        assert ask(running, [SOCKET_GROUP], "GET", path)[0] == 200, path


@pytest.mark.parametrize(("method", "path", "body"), FOR_ADMINS, ids=[path for _, path, _ in FOR_ADMINS])
def test_who_is_no_admin_may_change_nothing_nor_take_it_all(running: Daemon, method: str, path: str, body: str) -> None:
    status, answer = ask(running, [SOCKET_GROUP], method, path, body)
    assert status == 403
    assert isinstance(answer, dict)
    assert f"user {STRANGER} may not" in answer["message"]
    assert "admin group" in answer["message"]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[path for _, path, _ in CHANGES])
def test_members_of_the_admin_group_may(running: Daemon, method: str, path: str, body: str) -> None:
    assert ask(running, [SOCKET_GROUP, 1], method, path, body)[0] in (200, 404, 422)


def test_the_group_of_the_moment_counts_not_one_of_the_same_number_elsewhere(running: Daemon) -> None:
    assert ask(running, [SOCKET_GROUP, 2], "POST", "/sync")[0] == 403
