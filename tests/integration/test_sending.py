"""Sending one thing to somebody else: whatever is there, the answer is a word on how it went, in time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from reevd.config import load
from reevd.errors import ConfigError
from reevd.feed import follow, sending
from reevd.feed.followers import Forward
from reevd.feed.outbox import Outbox, Tally, Waiting, tallies
from reevd.feed.outcome import Outcome
from reevd.model import ToolCall
from tests.loopback import loopback


@contextmanager
def answering(said: bytes) -> Iterator[str]:
    """The address of one that takes a request, says that, and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65_536)
                client.sendall(said)
                over.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (b"220 mail.example ESMTP\r\n\r\n", "220 mail.example"),
        (b"HTTP/1.1 " + b"x" * 70_000, "got more than"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nwait", "answered 503 Busy: (the rest"),
        (b"", "timed out"),
    ],
)
def test_what_is_no_answer_has_failed_and_can_be_tried_again(said: bytes, word: str) -> None:
    with answering(said) as address:
        sent = sending.post(address, b"{}", {}, 0.3)
    assert word in sent.why
    assert not sent.final


def test_only_what_is_about_the_content_is_final() -> None:
    with loopback() as hook:
        for status in (302, 401, 403, 404, 408, 429, 500, 503):
            hook.answers = [status]
            sent = sending.post(hook.address, b"{}", {}, 5)
            assert (f"answered {status}" in sent.why, sent.final) == (True, False)
        for status in (400, 413, 422):
            hook.answers = [status]
            assert sending.post(hook.address, b"{}", {}, 5).final


@pytest.mark.parametrize(
    "address",
    ["http://h/a b", "http://h:no", "http://h:99999", "http:///x", "ftp://h", "http://me:secret@h/", "http://h/\u00e9"],
)
def test_an_address_that_nothing_can_be_sent_to_is_refused_with_the_settings(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address"):
        load(["--notice-webhook", address], {})


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", 'setsid sleep 60 & echo $! > "$0"', str(tmp_path / "pid")]
    began = time.monotonic()
    sent = sending.run(command, dict(os.environ), 20)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert sent == ("", False)
    assert time.monotonic() - began < 15


def test_why_a_command_failed_is_its_last_words() -> None:
    sent = sending.run(["/bin/sh", "-c", "head -c 100000 /dev/zero >&2; echo no luck >&2; exit 3"], {}, 20)
    assert sent.why.startswith("/bin/sh ended with 3: ")
    assert sent.why.endswith("no luck")
    assert len(sent.why) < 3_000


def outcome(name: str) -> Outcome:
    times = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z")
    return Outcome(name, "b", "a", "Completed", 1.0, "", None, *times)


@contextmanager
def waiting(home: Path, outcomes: list[Outcome]) -> Iterator[tuple[Outbox, list[tuple[Waiting, Outcome]]]]:
    """An outbox at home / "feed" in which these wait, in the order of their ids."""
    outbox = Outbox(str(home / "feed"), "forward", "")
    outbox.take(outcomes, "birth", len(outcomes))
    yield outbox, list(zip(outbox.due(time.time(), len(outcomes)), sorted(outcomes), strict=True))
    outbox.close()


def test_an_end_that_no_trace_can_hold_is_told_as_the_latest_that_one_can(tmp_path: Path) -> None:
    call = ToolCall("t", "9990-01-01T00:00:00Z", 5.0, None, None, "success", None)
    far = outcome("far")._replace(started_at="2600-01-01T00:00:00Z", ended_at="9999-01-01T00:00:00Z", calls=(call,))
    with waiting(tmp_path, [outcome("near"), far]) as (outbox, items), loopback() as collector:
        Forward(collector.address, 100, {}).deliver(outbox, items)
        (got,) = collector.got
    request = ExportTraceServiceRequest.FromString(got.body)
    ends = [s.end_time_unix_nano for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
    assert sorted(ends)[1:] == [2**63 - 1] * 2
    assert tallies(str(tmp_path / "feed")) == {"forward": Tally(2, 0, 0, 0)}


def test_the_one_that_makes_no_trace_takes_no_other_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = outcome("odd")._replace(error_message="\ud800", status="Failed")
    with waiting(tmp_path, [*(outcome(f"n{n}") for n in range(5)), odd]) as (outbox, items), loopback() as collector:
        Forward(collector.address, 100, {}).deliver(outbox, items)
        assert collector.got
    assert tallies(str(tmp_path / "feed")) == {"forward": Tally(5, 0, 1, 0)}
    said = capsys.readouterr().out
    assert "forwarding given up" in said
    assert "it makes no trace: " in said


def test_the_one_that_a_collector_refuses_takes_no_other_along(tmp_path: Path) -> None:
    with waiting(tmp_path, [outcome(f"n{number}") for number in range(8)]) as (outbox, items), loopback() as collector:
        # 8 are refused, the first 4 pass, 2 of the others pass, and of the last 2 the second one is refused
        collector.answers = [413, 200, 413, 200, 413, 200, 400]
        Forward(collector.address, 100, {}).deliver(outbox, items)
        assert len(collector.got) == 3
    assert tallies(str(tmp_path / "feed")) == {"forward": Tally(7, 0, 1, 0)}


@pytest.mark.parametrize("status", [401, 404, 302])
def test_a_collector_with_another_key_or_path_gets_it_all_later(tmp_path: Path, status: int) -> None:
    path = str(tmp_path / "feed")
    outbox = Outbox(path, "forward", "")
    outbox.take([outcome("a")], "birth", 1)
    with loopback() as collector:
        collector.answers = [status]
        forward = Forward(collector.address, 100, {})
        items = [(outbox.due(time.time(), 1)[0], outcome("a"))]
        assert forward.deliver(outbox, items) >= 1, "a pause"
        assert tallies(path) == {"forward": Tally(0, 1, 0, 1)}
        forward.deliver(outbox, items)
    assert tallies(path) == {"forward": Tally(1, 1, 0, 0)}
    outbox.close()


def test_a_follower_that_breaks_says_why_before_it_ends(tmp_path: Path) -> None:
    told = {
        "database": str(tmp_path / "none"), "path": str(tmp_path), "log_format": "json", "forward_endpoint": "",
        "forward_rate": 1.0, "notice_command": ["true"], "notice_webhook": "", "notice_statuses": [],
        "notice_benchmarks": [], "notice_seconds": 1.0, "notice_attempts": 1,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", follow.__name__, orjson.dumps(told).decode()],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.wait(30) == 1
    assert process.stdin is not None
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stdin.close()
    process.stderr.close()
    assert "following failed" in said
    assert "IsADirectoryError" in said


@pytest.mark.parametrize(("calls", "waiting"), [(0, 0), (3, 0), (4, 1)])
def test_only_more_calls_than_were_told_are_news(tmp_path: Path, calls: int, waiting: int) -> None:
    """A database that was made anew knows of none, until it has read the telemetry."""
    outbox = Outbox(str(tmp_path / "feed"), "forward", "")
    outbox.take([outcome("a")._replace(tool_calls=3)], "birth", 1)
    outbox.done(outbox.due(time.time(), 1))
    outbox.take([outcome("a")._replace(tool_calls=calls)], "another", 1)
    assert len(outbox.due(time.time(), 2)) == waiting
    outbox.close()
