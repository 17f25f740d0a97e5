"""The API over a real socket, its server a process of its own, over a database that the tests fill."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException

from reevd.api.backup import copy
from reevd.api.query import Query
from reevd.api.rows import Filter, Page, RemadeError, connect, encode
from reevd.api.service import SLOW_OF_ONE, Service
from reevd.api.tallies import Scope, Tallies
from reevd.store import Store
from tests.harness import Daemon, UnixConnection, children, daemon, leave, session, wait_until

API = "/api/v1"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that knows five cases' worth of executions."""
    home = tmp_path_factory.mktemp("server")
    cases = home / "benchmarks"
    cases.mkdir()
    (cases / "001-sol-transfer.yml").write_text(
        "id: 001-sol-transfer\ndescription: Send\ntags: [a, b]\nprompt: Send it\n"
    )
    (cases / "broken.yml").write_text("id: [\n")
    with daemon(home, settle_seconds=0.05) as made:
        for number in range(25):
            success = number % 5 != 0
            leave(
                made.sessions,
                f"e{number:02d}",
                session(
                    f"e{number:02d}",
                    benchmark_id=f"00{number % 2 + 1}-case",
                    agent_type=("deterministic", "glm-4.6")[number % 2],
                    start_time=1_760_000_000 + number // 3,
                    final_result={
                        "success": success,
                        "score": number / 25,
                        "error": None if success else "Ärger im Straßenverkehr" if number == 20 else f"boom {number}",
                    },
                ),
            )
        leave(made.sessions, "live", session("live", start_time=1_760_000_100, end_time=None, final_result=None))
        (made.sessions / "session_torn.json").write_text('{"half')
        (made.sessions / "enhanced_otel_e01.jsonl").write_text(
            "".join(
                json.dumps({"timestamp": f"2026-01-01T00:00:0{n}Z", "event_type": kind, **more}) + "\n"
                for n, kind, more in (
                    (1, "ToolInput", {"tool_input": {"tool_name": "one", "tool_args": {"n": 1}}}),
                    (
                        2,
                        "ToolOutput",
                        {"tool_output": {"success": True, "results": "[]"}, "timing": {"step_timeuse_ms": 7}},
                    ),
                    (3, "ToolInput", {"tool_input": {"tool_name": "two", "tool_args": {}}}),
                )
            )
        )
        made.wait_for("torn", "Running")
        made.wait_for("e24", "Completed")
        yield made


def test_health(running: Daemon) -> None:
    found = running.get(f"{API}/health")
    assert set(found) >= {
        "status",
        "timestamp",
        "version",
        "uptime_seconds",
        "watch",
        "database",
        "executions",
        "problems",
    }
    assert found["status"] == "healthy"
    assert found["watch"]["mode"] == "inotify"
    assert found["executions"] == {"Queued": 0, "Running": 2, "Completed": 20, "Failed": 5, "Stopped": 0, "Timeout": 0}
    assert found["problems"] == 1
    assert found["database"]["size_bytes"] > 0


def test_one_execution(running: Daemon) -> None:
    found = running.get(f"{API}/executions/e05")
    assert list(found)[:10] == [
        "execution_id", "benchmark_id", "agent", "status", "created_at", "updated_at", "progress", "error_message",
        "result_data", "metadata",
    ]  # fmt: skip
    assert (found["status"], found["score"], found["error_message"]) == ("Failed", 0.2, "boom 5")
    assert found["result_data"]["final_result"]["error"] == "boom 5"
    assert found["source"] == {"session": "session_e05.json", "otel": None, "state": "present"}
    assert found["created_at"] == "2025-10-09T08:53:21.000000Z"
    assert found["warnings"] == []


def test_status_by_benchmark(running: Daemon) -> None:
    assert running.get(f"{API}/benchmarks/002-case/status/e05")["execution_id"] == "e05"
    assert running.get(f"{API}/benchmarks/001-case/status")["execution_id"] == "e24"
    assert running.request("GET", f"{API}/benchmarks/001-case/status/e05")[0] == 404
    assert running.request("GET", f"{API}/benchmarks/nix/status")[0] == 404


def walk(running: Daemon, query: str, limit: int) -> list[str]:
    ids, cursor = [], ""
    while True:
        page = running.get(f"{API}/executions?limit={limit}{query}{cursor}")
        assert len(page["items"]) <= limit
        ids += [item["execution_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return ids
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_have_no_gap_and_nothing_twice(running: Daemon, limit: int) -> None:
    ids = walk(running, "", limit)
    assert len(ids) == len(set(ids)) == 27
    assert ids == walk(running, "", 100), "the order is the same however it is cut"
    times = [running.get(f"{API}/executions/{i}")["created_at"] for i in ids]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("&status=Failed", {"e00", "e05", "e10", "e15", "e20"}),
        ("&status=Failed&status=Running", {"e00", "e05", "e10", "e15", "e20", "live", "torn"}),
        ("&status=Failed,Running&agent=deterministic", {"e00", "e10", "e20", "live"}),
        ("&benchmark_id=002-case&min_score=0.8", {"e21", "e23"}),
        ("&max_score=0.04", {"e00", "e01"}),
        ("&since=2025-10-09T08:53:28Z&until=2025-10-09T08:53:28Z", {"e24"}),
        ("&since=2025-10-09T10:53:28%2B02:00&max_score=1", {"e24"}),
        ("&text=BOOM%201", {"e10", "e15"}),
        ("&text=%25", set()),
        ("&text=%C3%A4rger%20im%20STRASSENVERKEHR", {"e20"}),
    ],
)
def test_filters(running: Daemon, query: str, expected: set[str]) -> None:
    assert set(walk(running, query, 100)) == expected


def test_who_searches_does_not_keep_the_others_waiting(running: Daemon) -> None:
    threads = []

    def ask(query: Query) -> Page:
        threads.append(threading.get_ident())
        return query.executions(Filter(), 1, None)

    async def both() -> None:
        service = Service(str(running.database), "", None, 0)
        for wanted in (Filter(text="x"), Filter(min_score=0.5), Filter(agent="x")):
            assert len((await service.search(0, wanted, ask)).items) == 1
        service.reopen()

    asyncio.run(both())
    assert [thread == threading.get_ident() for thread in threads] == [False, False, True]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/executions/nix", 404),
        ("GET", "/executions/nix/history", 404),
        ("GET", "/executions/nix/tool-calls", 404),
        ("GET", "/benchmarks/nix", 404),
        ("GET", "/no/such/path", 404),
        ("GET", "/health/", 404),
        ("GET", "/../../metrics/", 404),
        ("DELETE", "/executions", 405),
        ("GET", "/sync", 405),
        ("GET", "/executions?limit=0", 400),
        ("GET", "/executions?limit=1001", 400),
        ("GET", "/executions?limit=%C2%B2", 400),
        ("GET", "/executions?status=Sleeping", 400),
        ("GET", "/executions?since=yesterday", 400),
        ("GET", "/executions?min_score=2", 400),
        ("GET", "/executions?min_score=nan", 400),
        ("GET", "/executions?cursor=nonsense", 400),
        ("GET", "/executions?cursor=W10", 400),
        ("GET", "/executions/e01/tool-calls?cursor=WyJ4Il0", 400),
        ("GET", "/executions?limit=000000001999", 400),
        ("GET", f"/executions?limit={'1' * 5000}", 400),
        ("GET", f"/executions/e01/tool-calls?cursor={encode('9' * 23)}", 400),
        ("GET", f"/tool-calls?cursor={encode('2026', 'e01', '9' * 23)}", 400),
    ],
)
def test_every_error_has_the_one_shape(running: Daemon, method: str, path: str, status: int) -> None:
    found, answer = running.request(method, f"{API}{path}")
    assert found == status
    assert set(answer) == {"error", "message", "timestamp"}
    assert len(answer["message"]) > len(answer["error"])


@pytest.mark.parametrize(
    ("path", "listed"),
    [
        ("/executions/nix", "/executions"),
        ("/benchmarks/nix", "/benchmarks"),
        ("/benchmarks/nix/status", "/executions or /benchmarks"),
    ],
)
def test_what_is_unknown_is_said_to_be_listed_where_it_would_be(running: Daemon, path: str, listed: str) -> None:
    message = running.request("GET", f"{API}{path}")[1]["message"]
    assert message.endswith(f"'nix': reevd knows none: list them with GET {API}{listed}")


def test_history_and_tool_calls(running: Daemon) -> None:
    (only,) = running.get(f"{API}/executions/e02/history")
    assert only["status"] == "Completed"
    calls = running.get(f"{API}/executions/e01/tool-calls")
    assert [(c["tool_name"], c["status"], c["duration_ms"], c["params"]) for c in calls] == [
        ("one", "success", 7.0, {"n": 1}),
        ("two", "open", None, {}),
    ]


def test_a_bare_array_says_where_it_goes_on(running: Daemon) -> None:
    connection = UnixConnection(str(running.socket))
    connection.request("GET", f"{API}/executions/e01/tool-calls?limit=1")
    answer = connection.getresponse()
    (first,) = json.loads(answer.read())
    link = answer.headers["Link"]
    path = link[link.index("/api") : link.index(">")]
    connection.request("GET", path)
    answer = connection.getresponse()
    (second,) = json.loads(answer.read())
    assert (first["tool_name"], second["tool_name"], answer.headers["Link"]) == ("one", "two", None)
    connection.close()


def test_benchmarks_and_agents(running: Daemon) -> None:
    assert running.get(f"{API}/benchmarks") == [
        {"id": "001-sol-transfer", "description": "Send", "tags": ["a", "b"], "prompt": "Send it"}
    ]
    found = running.get(f"{API}/benchmarks/001-case")
    assert found["latest_execution_id"] == "e24"
    assert [e["execution_id"] for e in found["recent_executions"]][:2] == ["e24", "e22"]
    assert running.get(f"{API}/benchmarks/001-sol-transfer")["recent_executions"][0]["execution_id"] == "live"
    agents = running.get(f"{API}/agents")  # with the runner's own, once it has told of them
    assert agents == sorted(agents)
    assert {"deterministic", "glm-4.6", "unknown"} <= set(agents)


def test_problems(running: Daemon) -> None:
    (only,) = running.get(f"{API}/problems")["items"]
    assert (only["path"], only["execution_id"], only["kind"]) == ("session_torn.json", "torn", "json")
    assert only["attempts"] >= 1


def test_sync_reads_the_cases_and_scans(running: Daemon) -> None:
    status, found = running.request("POST", f"{API}/sync")
    assert status == 200
    assert (found["benchmarks"]["inserted"], found["benchmarks"]["unchanged"]) == (0, 1)
    assert "broken.yml" in found["benchmarks"]["failed"][0]["path"]
    assert found["sessions"]["scanned"] == 28
    assert found["duration_ms"] > 0


ASKS_AS_ANOTHER = """
import os, sys
from tests.harness import UnixConnection
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for method, path in (("GET", "/api/v1/health"), ("POST", "/api/v1/sync")):
    connection = UnixConnection(sys.argv[1])
    connection.request(method, path)
    print(connection.getresponse().status)
    connection.close()
"""


def test_strangers_may_read_and_not_change(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can ask as somebody else")
    with tempfile.TemporaryDirectory() as open_to_all, daemon(tmp_path, socket=f"{open_to_all}/s.sock") as running:
        os.chmod(open_to_all, 0o755)  # the other user must get there
        running.socket.chmod(0o666)
        command = [sys.executable, "-c", ASKS_AS_ANOTHER, str(running.socket)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.split() == ["200", "403"]


def raw(running: Daemon, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(10)
        end.connect(str(running.socket))
        end.sendall(data)
        end.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: end.recv(65536), b""))


def test_a_plain_http_client_is_answered(running: Daemon) -> None:
    answer = raw(running, b"GET /api/v1/executions/e01 HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["execution_id"] == "e01"


@pytest.mark.parametrize("path", ["executions/e01", "executions/none", "health", "executions?limit=5"])
def test_an_answer_comes_in_one_piece(running: Daemon, path: str) -> None:
    """Head and body at once: who waits is woken once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(20)
        end.connect(str(running.socket))
        for _ in range(50):
            end.sendall(f"GET {API}/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head, _, body = end.recv(1 << 20).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"
            assert json.loads(body)


def test_a_head_without_a_body_is_not_held_back(running: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(20)
        end.connect(str(running.socket))
        for _ in range(2):
            end.sendall(f"HEAD {API}/executions?limit=5 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = end.recv(1 << 20)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n\r\n")


def test_the_database_may_be_replaced_under_it(tmp_path: Path) -> None:
    """Removed while the daemon lives: it is made anew from the files, and readers see the new one."""
    with daemon(tmp_path, settle_seconds=0.05) as running:
        leave(running.sessions, "r", session("r"))
        running.wait_for("r", "Completed")
        for name in ("", "-wal", "-shm"):
            Path(f"{running.database}{name}").unlink(missing_ok=True)
        leave(running.sessions, "s", session("s"))
        running.wait_for("s", "Completed")
        running.wait_for("r", "Completed")


def test_json_is_never_parsed_on_its_way(running: Daemon) -> None:
    """What the writer left comes out as it is, numbers and letters alike."""
    odd: dict[str, Any] = {"success": True, "score": 1, "data": {"n": 1.0, "big": 2**53 + 1, "ü": "\u2028"}}
    leave(running.sessions, "odd", session("odd", final_result=odd))
    found = running.wait_for("odd", "Completed")
    assert found["result_data"]["final_result"] == odd
    (running.sessions / "session_odd.json").unlink()


def test_the_database_is_open_before_anybody_asks(tmp_path: Path) -> None:
    """Who asks first while it is made anew is answered from what stood before, too."""
    running = Daemon(tmp_path).start(ready=False)
    try:
        assert running.process is not None
        engine = running.process.pid

        def opened() -> bool:
            found = [path for pid in children(engine, "reevd.api") for path in Path(f"/proc/{pid}/fd").iterdir()]
            with suppress(FileNotFoundError):
                return any(os.readlink(path) == str(running.database) for path in found)
            return False

        wait_until(opened, "the server has it open", log=running.log)
    finally:
        running.stop()


def test_who_listens_is_not_told_of_a_database_that_is_just_being_made(tmp_path: Path) -> None:
    async def listened() -> None:
        service = Service(str(tmp_path / "db"), "", None, 0)
        service.open()
        (tmp_path / "db").unlink()
        Store(str(tmp_path / "db")).close()
        with pytest.raises(RemadeError, match="made anew"), service.hub.listen(service.query.birth):
            pass
        service.reopen()
        with service.hub.listen(service.query.birth):
            pass
        service.reopen()

    Store(str(tmp_path / "db")).close()
    asyncio.run(listened())


def test_what_is_asked_apart_is_not_answered_from_a_database_that_is_just_being_made(
    running: Daemon, tmp_path: Path
) -> None:
    """Until it says what the one before said, that one is answered from."""

    async def asked() -> None:
        service = Service(str(tmp_path / "db"), "", None, 0)
        found = await service.search(0, Filter(text="deterministic"), lambda query: query.executions(Filter(), 1, None))
        assert found.items
        (tmp_path / "db").unlink()
        Store(str(tmp_path / "db")).close()
        for wanted in (Filter(text="deterministic"), Filter(min_score=0.0)):
            with pytest.raises(RemadeError, match="made anew"):
                await service.search(0, wanted, lambda query: query.executions(Filter(), 1, None))
        with pytest.raises(RemadeError, match="made anew"):
            await service.apart(0, Tallies, lambda tallies: tallies.by_benchmark(Scope()))
        with pytest.raises(RemadeError, match="made anew"):
            copy(service.database, service.query.birth)
        assert service.query.executions(Filter(), 1, None).items, "the connection of before goes on"
        service.reopen()
        assert not (await service.search(0, Filter(text="x"), lambda query: query.executions(Filter(), 1, None))).items
        service.reopen()

    with closing(connect(str(running.database))) as db:
        db.execute("VACUUM INTO ?", (str(tmp_path / "db"),))
    asyncio.run(asked())


def test_questions_that_take_long_have_a_bound_of_each_user(running: Daemon) -> None:
    """Also of those who have gone away."""
    go_on = threading.Event()

    def ask(query: Query) -> Page:
        go_on.wait(10)
        return query.executions(Filter(), 1, None)

    async def many() -> None:
        service, slow = Service(str(running.database), "", None, 0), Filter(text="x")
        asked = [asyncio.create_task(service.search(7, slow, ask)) for _ in range(SLOW_OF_ONE)]
        await asyncio.sleep(0)
        asked[0].cancel()
        await asyncio.sleep(0)
        with pytest.raises(HTTPException, match=f"user 7 has {SLOW_OF_ONE} questions that take long already"):
            await service.search(7, slow, ask)
        other = asyncio.create_task(service.search(8, slow, ask))
        go_on.set()
        assert (await other).items
        await asyncio.gather(*asked, return_exceptions=True)
        assert (await service.search(7, slow, ask)).items
        service.reopen()

    asyncio.run(many())
