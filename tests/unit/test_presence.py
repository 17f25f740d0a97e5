"""What systemd is told: ready no sooner than it is, more time only for what moves, and what is wrong."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from reevd import notify, presence
from reevd.engine import Engine
from reevd.presence import Presence
from tests.harness import leave, session


class Heard:
    """The socket that systemd would listen on."""

    def __init__(self, path: Path) -> None:
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end.bind(str(path))
        self._end.setblocking(False)

    def all(self) -> list[dict[str, str]]:
        """Each message since the last call, as its fields."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines = self._end.recv(65_536).decode().splitlines()
                found.append(dict(line.split("=", 1) for line in lines))
        return found

    def close(self) -> None:
        self._end.close()


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setattr(presence, "STATUS_SECONDS", 0.0)
    with contextlib.closing(Heard(tmp_path / "notify")) as end:
        yield end


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    folder = tmp_path / "sessions"
    folder.mkdir()
    for number in range(3):
        leave(folder, f"x{number}", session(f"x{number}"))
    with contextlib.closing(Engine(str(folder), str(tmp_path / "reevd.sqlite3"))) as made:
        yield made


def test_more_time_is_for_what_moves(heard: Heard, engine: Engine) -> None:
    told = Presence(engine, "/sessions")
    told.sign()
    assert "EXTEND_TIMEOUT_USEC" in heard.all()[0]
    told.sign()
    (still,) = heard.all()
    assert "reading /sessions" in still["STATUS"]
    assert "EXTEND_TIMEOUT_USEC" not in still
    engine.step()
    assert not engine.ready
    told.sign()
    assert "EXTEND_TIMEOUT_USEC" in heard.all()[0]


def test_settings_read_anew_before_it_is_ready_do_not_make_it_so(heard: Heard, engine: Engine) -> None:
    told = Presence(engine, "/sessions")
    told.reloading()
    told.reloaded()
    assert heard.all() == []
    engine.settle()
    told.sign()
    assert heard.all()[0]["READY"] == "1"
    told.reloading()
    told.reloaded()
    assert [next(iter(message)) for message in heard.all()] == ["RELOADING", "READY"]


def test_the_status_says_what_is_wrong(
    heard: Heard, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.settle()
    told = Presence(engine, "/sessions")
    told.sign()
    assert heard.all()[0]["STATUS"] == "/sessions: 3 executions, 0 under way, 0 problems"
    told.trouble = "the old settings are in force"
    health = engine.health()._replace(reasons=["storing fails"])
    monkeypatch.setattr(engine, "health", lambda: health)
    told.reloaded()
    assert heard.all()[0]["STATUS"].endswith("0 problems; the old settings are in force; storing fails")


def test_a_line_break_in_what_is_told_makes_no_field_of_its_own(heard: Heard) -> None:
    notify.tell(STATUS="reading /a\nREADY=1")
    assert heard.all() == [{"STATUS": "reading /a READY=1"}]


def test_it_is_at_rest_once_nothing_was_stored_for_a_while(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [100.0]
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    told = Presence(engine, "/sessions")

    def rests_after(passed: float) -> bool:
        told.sign()
        seconds[0] += passed
        return told.at_rest

    assert not rests_after(1000), "it is not ready"
    engine.settle()
    assert not rests_after(presence.REST_SECONDS - 0.1)
    leave(tmp_path / "sessions", "new", session("new"))
    engine.settle()
    assert not rests_after(presence.REST_SECONDS - 0.1), "something was stored"
    assert rests_after(0.1)
    leave(tmp_path / "sessions", "newer", session("newer"))
    engine.settle()
    assert not rests_after(0.0)
    seconds[0] += presence.LATEST_SECONDS
    leave(tmp_path / "sessions", "newest", session("newest"))
    engine.settle()
    assert rests_after(0.0), "it never comes to rest"


def test_it_is_not_at_rest_the_moment_that_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [100.0]
    monkeypatch.setattr(presence, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    with contextlib.closing(Engine(str(tmp_path / "none"), str(tmp_path / "reevd.sqlite3"))) as empty:
        told = Presence(empty, "/sessions")
        empty.settle()
        told.sign()
        assert not told.at_rest, "whoever waited for it has not been answered"
        seconds[0] += presence.REST_SECONDS
        assert told.at_rest
