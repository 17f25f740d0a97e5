"""The live events: nothing is missed between two of them, over restarts, and with the database lost."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import apsw
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from reevd.api.changes import Changes
from reevd.api.events import Events
from reevd.api.service import Service
from reevd.model import Execution
from reevd.schema import COLUMNS, migrate
from tests.harness import Daemon, UnixConnection, daemon, leave, session, wait_until

STUB: dict[str, object] = {"end_time": None, "final_result": None}
AT = "2026-01-31T12:00:00.000000Z"
RUN = Execution(
    "e", "case", "groß", "Completed", AT, AT, 1.0, None, None, None, 1.0, "done", AT, AT, None, AT, AT, None, None,
    "present", 0, 0, "[]", "[]",
)  # fmt: skip


class Event(NamedTuple):
    id: str
    name: str
    content: dict[str, Any]


class Listener:
    """One client of the events. `next` waits for the next of a kind."""

    def __init__(self, answer: HTTPResponse) -> None:
        self._answer = answer
        self.last = ""

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for raw in self._answer:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                self.last = fields["id"]
                yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
                fields = {}

    def next(self, name: str = "execution") -> dict[str, Any]:
        return next(event.content for event in self if event.name == name)

    def until(self, execution_id: str, status: str) -> list[dict[str, Any]]:
        """All executions that came, up to this one in this status."""
        found = []
        for event in self:
            if event.name == "execution":
                found.append(event.content)
                if (event.content["execution_id"], event.content["status"]) == (execution_id, status):
                    return found
        raise AssertionError(f"the stream ended before {execution_id} was {status}: {found}")


@contextmanager
def listening(running: Daemon, query: str = "", last: str | None = None) -> Iterator[Listener]:
    opened: list[UnixConnection] = []

    def ask() -> HTTPResponse | None:
        opened.append(UnixConnection(str(running.socket)))
        headers = {} if last is None else {"Last-Event-ID": last}
        opened[-1].request("GET", f"/api/v1/events{query}", headers=headers)
        found = opened[-1].getresponse()
        return None if found.status == 503 else found  # the database is being made anew

    try:
        answer = wait_until(ask, "the stream is there", log=running.log)
        assert answer is not None
        assert answer.status == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        listener = Listener(answer)
        listener.next("heartbeat")
        yield listener
    finally:
        for connection in opened:
            connection.close()


def test_each_change_comes_as_the_api_shows_it(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, listening(running) as listener:
        leave(running.sessions, "a", session("a", **STUB))
        assert listener.next() == running.execution("a")
        leave(running.sessions, "a", session("a"))
        (*_, completed) = listener.until("a", "Completed")
        assert completed == running.execution("a")


def test_what_stood_before_is_not_told_unless_it_is_asked_for(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        leave(running.sessions, "before", session("before"))
        running.wait_for("before", "Completed")
        with listening(running) as listener:
            leave(running.sessions, "after", session("after"))
            assert {e["execution_id"] for e in listener.until("after", "Completed")} == {"after"}
        with listening(running, last="0") as listener:
            assert {e["execution_id"] for e in listener.until("after", "Completed")} == {"before", "after"}


def test_who_comes_back_gets_what_was_missed_also_over_a_restart(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        with listening(running) as listener:
            leave(running.sessions, "seen", session("seen"))
            listener.until("seen", "Completed")
        leave(running.sessions, "missed", session("missed"))
        running.wait_for("missed", "Completed")
        running.kill()
        leave(running.sessions, "while-dead", session("while-dead"))
        running.start()
        running.wait_for("while-dead", "Completed")
        with listening(running, last=listener.last) as again:
            leave(running.sessions, "new", session("new"))
            found = [e["execution_id"] for e in again.until("new", "Completed")]
            assert found == ["missed", "while-dead", "new"]


def test_where_the_database_was_made_anew_everything_is_told(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        leave(running.sessions, "a", session("a"))
        with listening(running, last="0") as listener:
            listener.until("a", "Completed")
            running.database.unlink()
            with pytest.raises(AssertionError, match="the stream ended"):  # its database is gone
                listener.until("never", "Completed")
        wait_until(lambda: running.execution("a"), "the database is made anew", log=running.log)
        with listening(running, last=listener.last) as again:
            assert again.until("a", "Completed")


def test_more_than_one_batch_comes_in_order_and_each_execution_once(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        for number in range(250):
            leave(running.sessions, f"n{number:03}", session(f"n{number:03}"))
        running.wait_for("n249", "Completed")
        wait_until(lambda: running.get("/api/v1/health")["executions"]["Completed"] == 250, "all are stored")
        with listening(running, last="0") as listener:
            leave(running.sessions, "z", session("z"))
            events = [e for e in listener.until("z", "Completed") if e["execution_id"] != "z"]
        assert sorted(e["execution_id"] for e in events) == [f"n{number:03}" for number in range(250)]


def test_filters_hold(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, listening(running, "?agent=mine&status=Completed") as listener:
        leave(running.sessions, "other", session("other"))
        leave(running.sessions, "stub", session("stub", agent_type="mine", **STUB))
        running.wait_for("other", "Completed")
        running.wait_for("stub", "Running")
        leave(running.sessions, "mine", session("mine", agent_type="mine"))
        assert [e["execution_id"] for e in listener.until("mine", "Completed")] == ["mine"]


def test_trouble_is_told_and_its_end(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.1) as running, listening(running) as listener:
        leave(running.sessions, "bad", "{")
        told = listener.next("problem")
        assert (told["path"], told["kind"], told["solved"]) == ("session_bad.json", "json", False)
        with listening(running, last=listener.last) as other:
            assert other.next("problem")["path"] == "session_bad.json"
        leave(running.sessions, "bad", session("bad"))
        assert listener.next("problem") == {**told, "solved": True}


def test_trouble_past_the_first_thousand_is_not_said_to_be_solved(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with closing(apsw.Connection(path)) as db:
        migrate(db, path)
        row = "INSERT INTO problems VALUES (?, NULL, 'json', 'it is torn', '2026', 1)"
        db.executemany(row, [(f"p{number:04}",) for number in range(1000)])
        with closing(Changes(path)) as changes:
            first = changes.trouble()
            db.execute(row, ("a",))
            second = changes.trouble(first)
            assert sorted(second.items) == ["a", *sorted(first.items)]
            db.execute("DELETE FROM problems WHERE path = 'p0999'")
            assert second.items.keys() - changes.trouble(second).items.keys() == {"p0999"}


def test_new_trouble_past_the_first_thousand_is_told_and_none_that_stood_before(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    with closing(apsw.Connection(path)) as db:
        migrate(db, path)
        row = "INSERT INTO problems VALUES (?, NULL, 'json', 'it is torn', ?, 1)"
        db.executemany(row, [(f"p{number:04}", f"2026-{number:04}") for number in range(1500)])
        with closing(Changes(path)) as changes:
            known = changes.trouble()
            assert len(known.items) == 1000
            db.executemany(row, [(f"q{number:04}", "2027") for number in range(1500)])
            told = [known]
            while told[-1].more or len(told) == 1:
                told.append(changes.trouble(told[-1]))
            assert told[-1].items.keys() - known.items.keys() == {f"q{number:04}" for number in range(1500)}
            assert changes.trouble(told[-1]).items == told[-1].items


def test_what_a_listener_has_missed_is_read_while_others_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading of a long backlog stands still until somebody else has been answered."""
    path = str(tmp_path / "db")
    with closing(apsw.Connection(path)) as db:
        migrate(db, path)
        insert = f"INSERT INTO execution_states ({COLUMNS}) VALUES ({', '.join('?' * len(Execution._fields))})"
        db.executemany(insert, [RUN._replace(execution_id=f"e{number}") for number in range(200)])
    reading, answered = threading.Event(), threading.Event()

    def casefold(text: str) -> str:
        reading.set()
        assert answered.wait(5), "nobody was answered meanwhile"
        return text.casefold()

    monkeypatch.setattr("reevd.api.rows._casefold", casefold)

    async def listen() -> str:
        service = Service(path, "", None, 0)
        request = Request(
            {"type": "http", "query_string": urlencode({"text": "ß", "last_event_id": "0"}).encode(), "headers": [],
             "extensions": {"reevd.peer": {"uid": 0}}}
        )  # fmt: skip
        answer = await Events(service).events(request)
        assert isinstance(answer, StreamingResponse)
        events = answer.body_iterator.__aiter__()
        await anext(events)
        found = asyncio.ensure_future(anext(events))
        await asyncio.to_thread(reading.wait, 5)
        answered.set()
        event = bytes(await found).decode()
        await events.aclose()  # type: ignore[attr-defined]
        return event

    assert "event: execution" in asyncio.run(listen())


def test_an_id_that_was_never_given_out_is_refused(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        for last in ("x", "abc-", "abc-1x", f"a-{'9' * 40}"):
            status, answer = running.request("GET", f"/api/v1/events?last_event_id={last}")
            assert (status, answer["error"]) == (400, "bad request"), last


def test_listeners_are_bounded_and_leave_room_again(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        connections = [UnixConnection(str(running.socket)) for _ in range(32)]
        answers = []
        for connection in connections:
            connection.request("GET", "/api/v1/events")
            answers.append(connection.getresponse())
        assert [answer.status for answer in answers] == [200] * 32
        status, answer = running.request("GET", "/api/v1/events")
        assert status == 503
        assert "has 32 listeners already" in answer["message"]
        for opened in (*answers, *connections):
            opened.close()

        def listens() -> bool:
            with closing(UnixConnection(str(running.socket))) as connection:
                connection.request("GET", "/api/v1/events")
                with connection.getresponse() as answer:
                    return answer.status == 200

        wait_until(listens, "there is room again")


def test_the_daemon_ends_though_clients_listen(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, listening(running), listening(running) as listener:
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 5
        assert list(listener) == []
