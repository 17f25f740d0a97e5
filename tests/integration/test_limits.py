"""What a client may not do to the server, each bound met over a real socket."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from reevd import link
from reevd.engine import Engine
from tests.harness import daemon, leave, session, wait_until

HEALTH = b"GET /api/v1/benchmarks HTTP/1.1\r\nHost: x\r\n\r\n"
ONE = b"GET /api/v1/executions/%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """The server process alone, over a database that stands; `bounds` as its own are named."""

    def __init__(self, home: Path, *, descriptors: int | None = None, per_user: int = 20, **bounds: float) -> None:
        self.path, self.log_path = home / "socket", home / "log"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(self.path))
        listening.listen(256)
        self._link, theirs = link.pair()
        arguments = {
            "listen_fd": listening.fileno(),
            "link_fd": theirs.fileno(),
            "database": str(home / "db"),
            "sessions": "",
            "log_format": "json",
            "connections_per_user": per_user,
            "admin_gid": None,
            "writers": [],
            "started_at": 0,
            "bounds": bounds,
        }
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reevd.api.serve", json.dumps(arguments)],
                pass_fds=(listening.fileno(), theirs.fileno()),
                stderr=log,
                stdout=log,
            )
        listening.close()
        theirs.close()
        self.ask(HEALTH)
        if descriptors is not None:  # only now, so that it could load what it needs
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (descriptors, descriptors))

    def connect(self) -> socket.socket:
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(10)
        end.connect(str(self.path))
        return end

    def ask(self, request: bytes) -> tuple[int, dict[str, str], Any]:
        """The status, the head and the JSON of one answer, after which the connection is closed by us."""
        with contextlib.closing(self.connect()) as end:
            end.sendall(request)
            return answer(end)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._link.close()


def answer(end: socket.socket) -> tuple[int, dict[str, str], Any]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = end.recv(65536)
        assert more, f"the connection was closed: {data!r}"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(fields["content-length"]):
        body += end.recv(65536)
    return int(first.split()[1]), fields, json.loads(body)


def closed(end: socket.socket) -> bool:
    """Whether the other end is closed, once it is or five seconds have gone by."""
    end.settimeout(5)
    try:
        while end.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a database that knows three executions, one of them of six MiB."""
    home = tmp_path_factory.mktemp("limits")
    sessions = home / "sessions"
    sessions.mkdir()
    leave(sessions, "small", session("small"))
    for number in range(3):
        final = {"success": True, "score": 1.0, "data": "x" * (6 << 20)}
        leave(sessions, f"large-{number}", session(f"large-{number}", final_result=final))
    engine = Engine(str(sessions), str(home / "db"))
    engine.settle()
    engine.close()
    return home


@pytest.fixture
def server(database: Path, tmp_path: Path) -> Iterator[Any]:
    """Starts servers; each is ended."""
    started: list[Server] = []

    def start(**settings: Any) -> Server:
        home = tmp_path / str(len(started))
        home.mkdir()
        (home / "db").symlink_to(database / "db")
        for ending in ("-wal", "-shm"):
            (home / f"db{ending}").symlink_to(database / f"db{ending}")
        started.append(Server(home, **settings))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_a_head_without_end_is_refused(server: Any) -> None:
    running = server(head_bytes=8192)
    request = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000
    for text in (request, request + b"\r\n\r\n", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"):
        status, head, body = running.ask(text)
        assert (status, head["connection"]) == (431, "close")
        assert "more than 8,192 bytes" in body["message"]
        assert body["error"] == "request header fields too large"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Any) -> None:
    running = server(body_bytes=1000)
    post = b"POST /api/v1/upsert-yml HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    status, _, body = running.ask(post + b"Content-Length: 1001\r\n\r\n")
    assert status == 413
    assert "more than 1,000 bytes" in body["message"]
    chunk = b"%x\r\n%s\r\n" % (600, b"a" * 600)
    status, _, _ = running.ask(post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk)
    assert status == 413


def test_a_head_that_can_be_read_in_two_ways_is_refused(server: Any) -> None:
    running = server()
    for lines in (
        b"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Host: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        b"Host: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        b"Host: x\r\nContent-Length: +5\r\n",
        b"Host: x\r\nTransfer-Encoding: gzip\r\n",
        b"Host: x\r\nTransfer-Encoding: chunked, gzip\r\n",
        b"Host: x\r\nHost: y\r\n",
        b"",
        b"Host : x\r\n",
        b"Host: x\r\n folded\r\n",
        b"\0\r\n",
    ):
        with contextlib.closing(running.connect()) as end:
            end.sendall(b"POST /api/v1/sync HTTP/1.1\r\n" + lines + b"\r\n0\r\n\r\nGET /api/v1/health HTTP/1.1\r\n\r\n")
            status, head, body = answer(end)
            assert (status, head["content-type"]) == (400, "application/json"), lines
            assert body["message"].startswith("reading a request: "), lines
            assert closed(end), f"what follows {lines!r} must not be taken for a request"


def test_what_is_no_http_is_told_so_and_closed(server: Any) -> None:
    running = server()
    for text in (b"\x16\x03\x01\x02\0", b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"):
        with contextlib.closing(running.connect()) as end:
            end.sendall(text)
            assert answer(end)[0] == 400, text
            assert closed(end), text


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /api/v1/he",
        b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_who_does_not_go_on_is_cut_off(server: Any, begun: bytes) -> None:
    running = server(request_seconds=0.3)
    with contextlib.closing(running.connect()) as end:
        end.sendall(begun)
        assert closed(end)


def test_who_drips_is_cut_off(server: Any) -> None:
    running = server(request_seconds=0.4)
    with contextlib.closing(running.connect()) as end:
        end.sendall(b"GET /api/v1/health HTTP/1.1\r\n")

        def cut_off() -> bool:
            try:
                end.sendall(b"a: b\r\n")
            except OSError:
                return True
            return False

        wait_until(cut_off, "no more is taken", seconds=5)


def test_an_empty_line_between_two_requests_buys_no_time(server: Any) -> None:
    running = server(idle_seconds=0.3, request_seconds=0.3)
    with contextlib.closing(running.connect()) as end:
        end.sendall(HEALTH)
        assert answer(end)[0] == 200
        end.sendall(b"\r\n")
        assert closed(end)


def test_an_idle_connection_is_closed_and_a_lively_one_is_not(server: Any) -> None:
    running = server(idle_seconds=0.3, request_seconds=0.3)
    with contextlib.closing(running.connect()) as end:
        began = time.monotonic()
        while time.monotonic() < began + 1:
            end.sendall(HEALTH)
            assert answer(end)[0] == 200
        assert closed(end)


def test_who_does_not_read_is_cut_off(server: Any) -> None:
    running = server(write_seconds=0.3)
    with contextlib.closing(running.connect()) as end:
        end.sendall(ONE % b"large-0")
        hung_up = select.poll()
        hung_up.register(end, 0)  # tells of the other end's going, and of nothing else
        assert hung_up.poll(10_000), "the server waits for a reader who never comes"


def test_one_user_has_so_many_connections_and_no_more(server: Any) -> None:
    running = server(per_user=5)
    ends = [running.connect() for _ in range(5)]
    for end in ends:
        end.sendall(HEALTH)
        assert answer(end)[0] == 200
    with contextlib.closing(running.connect()) as end:
        status, head, body = answer(end)
        assert (status, head["retry-after"]) == (503, "10")
        assert "5 connections already" in body["message"]
        assert closed(end)
    ends.pop().close()
    wait_until(lambda: running.ask(HEALTH)[0] == 200, "there is room again")
    for end in ends:
        end.close()


def test_without_descriptors_it_neither_spins_nor_floods_and_recovers(server: Any) -> None:
    running = server(descriptors=40, per_user=1000)
    ends = [running.connect() for _ in range(60)]
    before = cpu(running.process.pid)
    with contextlib.suppress(OSError):
        for end in ends:
            end.settimeout(0.05)
            end.sendall(HEALTH)
            end.recv(1)
    assert cpu(running.process.pid) - before < 1.0
    for end in ends:
        end.close()
    wait_until(lambda: recovered(running), "it answers again")
    assert running.log_path.stat().st_size < 20_000


def recovered(running: Server) -> bool:
    try:
        return running.ask(HEALTH)[0] == 200
    except (OSError, AssertionError):
        return False


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_refusals_are_not_logged_one_by_one(server: Any) -> None:
    running = server()
    upgrade = HEALTH[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    for _ in range(200):
        assert running.ask(b"nonsense\r\n\r\n")[0] == 400
        assert running.ask(upgrade)[0] == 200
    (line,) = running.log_path.read_text().splitlines()
    assert "client refused" in line


def test_a_defect_is_told_as_every_error_is_and_logged_with_its_place(server: Any, tmp_path: Path) -> None:
    running = server()
    db = apsw.Connection(str(tmp_path / "0" / "db"))
    db.execute("UPDATE execution_states SET agent = x'00' WHERE execution_id = 'small'")
    try:
        for path in ("/api/v1/executions/small", "/api/v1/executions?text=small"):
            status, head, body = running.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (status, head["content-type"], body["error"]) == (500, "application/json", "internal error")
            place = f'"path": "{path.partition("?")[0]}"'
            wait_until(lambda: place in running.log_path.read_text(), "it is logged")  # noqa: B023
        assert ["Traceback" in line for line in running.log_path.read_text().splitlines()] == [True, True]
    finally:
        db.execute("UPDATE execution_states SET agent = 'deterministic' WHERE execution_id = 'small'")
        db.close()


def test_a_page_ends_before_it_is_too_large_and_nothing_is_missed(server: Any) -> None:
    running = server()
    found, path = [], "/api/v1/executions?limit=1000"
    cursor = ""
    while True:
        status, head, body = running.ask(f"GET {path}{cursor} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert status == 200
        assert int(head["content-length"]) < 15 << 20
        found += [item["execution_id"] for item in body["items"]]
        if body["next_cursor"] is None:
            break
        cursor = f"&cursor={body['next_cursor']}"
    assert sorted(found) == ["large-0", "large-1", "large-2", "small"]
    assert cursor, "one page was enough: the bound was not met"


def test_odd_addresses_are_no_defect(server: Any) -> None:
    running = server()
    for path in (
        "/api/v1/executions/%00",
        "/api/v1/executions/a%2Fb",
        "/api/v1/executions/%ff%fe",
        "/api/v1/executions?text=%ff%00",
        "/api/v1/%2e%2e/x",
        "/api/v1/executions/" + "a" * 5000,
    ):
        status, _, body = running.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert status in (200, 400, 404), path
        assert status == 200 or body["message"], path


def test_head_and_methods(server: Any) -> None:
    running = server()
    with contextlib.closing(running.connect()) as end:
        end.sendall(HEALTH.replace(b"GET", b"HEAD"))
        head = end.recv(65536)
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n")
    for method in ("OPTIONS", "DELETE", "PATCH"):
        status, fields, body = running.ask(HEALTH.replace(b"GET", method.encode()))
        assert (status, body["error"]) == (405, "method not allowed")
        assert "GET" in fields["allow"]


def test_a_body_must_say_that_it_is_json(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, contextlib.closing(socket.socket(socket.AF_UNIX)) as end:
        end.settimeout(10)
        end.connect(str(running.socket))
        end.sendall(
            b"POST /api/v1/upsert-yml HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n{}"
        )
        status, _, body = answer(end)
        assert (status, body["error"]) == (415, "unsupported media type")
        assert "Content-Type: application/json" in body["message"]


def test_the_daemon_ends_in_time_whatever_its_clients_do(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        big = {"success": True, "score": 1.0, "data": "x" * (8 << 20)}
        leave(running.sessions, "big", session("big", final_result=big))
        running.wait_for("big", "Completed")
        with contextlib.ExitStack() as stack:
            for begun in (
                b"",
                b"GET /api/v1/he",
                b"POST /api/v1/sync HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
                ONE % b"big",
            ):
                end = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
                end.connect(str(running.socket))
                end.sendall(begun)
            assert running.execution("big")  # whatever they sent has been seen
            began = time.monotonic()
            assert running.stop() == 0
            assert time.monotonic() - began < 5
