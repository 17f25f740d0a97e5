"""Files that nobody sane would leave: the engine goes on, says what is wrong, and heals with the file."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reevd.otel_file import MAX_LINE
from tests.harness import leave, session
from tests.integration.conftest import Bench

SESSION, OTEL = "session_x.json", "enhanced_otel_x.jsonl"
GOOD = json.dumps(session("x"))


class EagerBench(Bench):
    """Looks right after each step, and not only after the sleep that follows it: the tests here are many."""

    def until(self, condition: Callable[[], object], what: str, *, seconds: float = 10.0) -> None:
        assert self.engine is not None
        deadline = time.monotonic() + seconds
        pause = self.engine.step()
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; {self.engine.health()}"
            self.engine.poll.poll(min(pause, 0.1))
            pause = self.engine.step()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = EagerBench(tmp_path)
    made.sessions.mkdir()
    yield made
    made.close()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(os.path.relpath(path))  # relative: the path of a socket has at most 107 bytes


def device(path: Path) -> None:
    if os.statvfs(path.parent).f_flag & os.ST_NODEV:
        pytest.skip("devices cannot be opened on this file system")
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero: reading it never ends
    except PermissionError:
        pytest.skip("only root makes device nodes")


def folder(path: Path) -> None:
    path.mkdir()


def link_outside(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_text(GOOD)
    path.symlink_to(outside)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def second_name(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_text(GOOD)
    path.hardlink_to(outside)


def sparse(path: Path) -> None:
    path.touch()
    try:
        os.truncate(path, 4 << 40)
    except OSError as error:
        path.unlink()
        pytest.skip(f"no file of 4 TiB here: {error.strerror}")


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (fifo, "special"),
    (unix_socket, "special"),
    (device, "special"),
    (folder, "special"),
    (link_outside, "link"),
    (dangling_link, "link"),
    (link_to_itself, "link"),
    (second_name, "link"),
    (sparse, "size"),
]


def shown(bench: Bench, path: str) -> tuple[str | None, str, str, int]:
    """The problem's execution, kind, since and attempts; it must be there."""
    assert bench.engine is not None
    query = "SELECT execution_id, kind, since, attempts FROM problems WHERE path = ?"
    ((execution_id, kind, since, attempts),) = bench.engine.store.rows(query, (path,))
    return execution_id, kind, since, attempts


def goes_on(bench: Bench, neighbour: str = "honest") -> None:
    """A run that is left now is seen to its end."""
    leave(bench.sessions, neighbour, session(neighbour))
    bench.until(lambda: bench.status(neighbour) == "Completed", f"{neighbour} is Completed")


def is_shown(bench: Bench, path: str, kind: str) -> None:
    """The problem stands under its kind; another look counts it again and keeps since when it stands."""
    assert bench.engine is not None
    bench.until(lambda: bench.problems().get(path) == kind, f"{path} is shown as {kind}, not {bench.problems()}")
    first = shown(bench, path)
    bench.engine.rescan()
    bench.until(lambda: shown(bench, path)[3] > first[3], f"{path} is looked at again")
    assert shown(bench, path)[:3] == first[:3]


@pytest.mark.parametrize("name", [SESSION, OTEL])
@pytest.mark.parametrize(("make", "kind"), REFUSED)
def test_what_is_no_plain_file_is_refused_and_heals(
    bench: Bench, make: Callable[[Path], None], kind: str, name: str
) -> None:
    bench.start()
    path = bench.sessions / name
    make(path)
    goes_on(bench)
    is_shown(bench, name, kind)
    assert bench.status("x") in (None, "Running"), "nothing was read from it"
    if path.is_dir():
        path.rmdir()
    leave(bench.sessions, "x", GOOD)
    if name == OTEL:
        hidden = bench.sessions / "whole"
        hidden.write_text(json.dumps({"event_type": "ToolInput", "tool_input": {"tool_name": "t"}}) + "\n")
        hidden.rename(path)
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")


def test_oversized_telemetry_is_shown_with_its_execution(bench: Bench) -> None:
    bench.start()
    sparse(bench.sessions / OTEL)
    bench.until(bench.problems, "the problem is shown")
    assert shown(bench, OTEL)[0] == "x"


def test_a_file_heals_when_its_second_name_goes(bench: Bench) -> None:
    engine = bench.start()
    second_name(bench.sessions / SESSION)
    is_shown(bench, SESSION, "link")
    (bench.home / "outside").unlink()
    engine.rescan()  # the folder itself sees no event
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")


NOT_JSON: list[tuple[str, bytes, str]] = [
    ("depth of 100,000", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json"),
    ("5,000 digits", b'{"end_time":' + b"9" * 5_000 + b"}", "json"),
    ("infinite", b'{"final_result":{"success":true,"score":1e999}}', "json"),
    ("NaN", b'{"final_result":{"success":true,"score":NaN}}', "json"),
    ("escaped lone surrogate", b'{"agent_type":"\\udfff"}', "json"),
    ("raw lone surrogate", b'{"agent_type":"\xed\xa0\x80"}', "json"),
    ("Latin-1", b'{"agent_type":"\xe9"}', "json"),
    ("UTF-16", GOOD.encode("utf-16"), "json"),
    ("UTF-16 without mark", GOOD.encode("utf-16-le"), "json"),
    ("NUL after the end", GOOD.encode() + b"\0", "json"),
    ("only NUL", b"\0" * 10_000, "empty"),
    ("two documents", GOOD.encode() * 2, "json"),
    ("a bomb of small values", b'{"a":[' + b"{}," * 2_100_000 + b"{}]}", "size"),
    ("text", b'"session"', "shape"),
]


@pytest.mark.parametrize(("content", "kind"), [pytest.param(c, k, id=i) for i, c, k in NOT_JSON])
def test_content_that_is_no_session_is_shown_and_heals(bench: Bench, content: bytes, kind: str) -> None:
    bench.start()
    (bench.sessions / SESSION).write_bytes(content)
    goes_on(bench)
    is_shown(bench, SESSION, kind)
    assert bench.status("x") == "Running", "an unreadable file is no verdict"
    (bench.sessions / SESSION).write_text(GOOD)  # in place, as the first writer does
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


ODD: dict[str, dict[str, Any]] = {
    f"{name} is {value}": {name: value}
    for name in ("start_time", "end_time", "session_id", "benchmark_id", "events")
    for value in (2**63, -(2**63), 2**64, 1e308)
} | {
    "2**63 in the result": {"final_result": {"success": True, "score": 1, "execution_time_ms": 2**63}},
    "2**63 as score": {"final_result": {"success": True, "score": 2**63}},
    "2**63 steps": {"metadata": {"steps_total": 2**63}},
    "250 levels": {"final_result": {"success": True, "score": 1, "data": nested(250)}},
    "terminal escapes": {"agent_type": "\x1b]0;owned\x07\u202e", "benchmark_id": "\x00\n"},
}


def test_odd_values_do_not_hide_a_result(bench: Bench) -> None:
    bench.start()
    ids = {name: f"odd{number}" for number, name in enumerate(ODD)}
    for name, fields in ODD.items():
        leave(bench.sessions, ids[name], session(ids[name], **fields))
    goes_on(bench)
    assert {name: bench.status(ids[name]) for name in ODD} == dict.fromkeys(ODD, "Completed")
    assert not bench.problems()


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.encode()[:-1] + b',"agent_type":"last"}'])
def test_a_byte_order_mark_and_doubled_keys_are_read(bench: Bench, content: bytes) -> None:
    bench.start()
    (bench.sessions / SESSION).write_bytes(content)
    bench.until(lambda: bench.status("x") == "Completed", "the result stands")
    row = bench.row("x")
    assert row is not None
    assert row.agent == ("last" if b"last" in content else "deterministic")


@pytest.mark.parametrize("where", ["result", "metadata", "telemetry"])
def test_300_levels_do_not_hide_a_result(bench: Bench, where: str) -> None:
    bench.start()
    fields: dict[str, Any] = {}
    if where == "telemetry":
        event = {"event_type": "ToolInput", "tool_input": {"tool_name": "t", "tool_args": nested(300)}}
        (bench.sessions / OTEL).write_text(json.dumps(event) + "\n")
    elif where == "metadata":
        fields = {"metadata": {"a": nested(300)}}
    else:
        fields = {"final_result": {"success": True, "score": 1, "data": nested(300)}}
    leave(bench.sessions, "x", session("x", **fields))
    goes_on(bench)
    bench.until(lambda: bench.status("x") or bench.problems(), "it was looked at")
    assert bench.problems().get(SESSION) != "internal"
    assert bench.status("x") == "Completed"


BAD_LINES = [*(content.replace(b"\n", b"") for _, content, kind in NOT_JSON if kind == "json"), b"[" * (MAX_LINE + 1)]


def test_no_line_of_telemetry_costs_its_neighbours(bench: Bench) -> None:
    bench.start()
    good = json.dumps({"event_type": "ToolInput", "tool_input": {"tool_name": "t"}}).encode()
    lines = [good, *(line for bad in BAD_LINES for line in (bad, good))]
    (bench.sessions / OTEL).write_bytes(b"\n".join(lines) + b"\n")
    leave(bench.sessions, "x", session("x"))
    bench.until(lambda: (row := bench.row("x")) and row.tool_calls == len(BAD_LINES) + 1, "the good lines count")
    row = bench.row("x")
    assert row is not None
    assert row.status == "Completed"
    assert f"{len(BAD_LINES)} " in row.warnings


def test_a_line_without_an_end_is_passed_over_in_slices(bench: Bench) -> None:
    engine = bench.start()
    with (bench.sessions / OTEL).open("wb") as file:
        file.write(b"x" * (MAX_LINE + 1))
        file.truncate(64 << 20)  # NULs that take no space
    leave(bench.sessions, "x", session("x"))
    goes_on(bench)
    bench.until(lambda: bench.status("x") == "Completed" and engine.idle, "the result stands")
    row = bench.row("x")
    assert row is not None
    assert "longer than" in row.warnings


@pytest.mark.parametrize(
    "raw",
    [
        b"session_a\nb.json",
        b"session_\x1b[2J.json",
        b"session_\xff\xfe.json",
        b"session_...json",
        b"enhanced_otel_-rf.jsonl",
        "session_e\u0301.json".encode(),
        "session_\u202egnp.json".encode(),
        b"session_" + b"n" * 240 + b".json",
    ],
)
def test_a_name_that_holds_no_id_is_shown_harmlessly_and_heals(bench: Bench, raw: bytes) -> None:
    engine = bench.start()
    path = os.fsencode(bench.sessions) + b"/" + raw
    Path(os.fsdecode(path)).write_text(GOOD)
    goes_on(bench)
    bench.until(bench.problems, "the problem is shown")
    ((name, kind),) = bench.problems().items()
    assert kind == "name"
    assert name.isprintable()
    is_shown(bench, name, "name")
    os.rename(path, bench.sessions / SESSION)
    engine.rescan()
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")


LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
os.rename(sys.argv[1], sys.argv[2])
print("there", flush=True)
sys.stdin.read()
"""


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Whoever opens the file must wait until its owner has given up the lease, or 45 s."""
    hidden = path.with_name("whole")
    hidden.write_text(GOOD)
    command = [sys.executable, "-c", LEASE, str(hidden), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        if not owner.stdout.readline():
            pytest.skip("no leases on this file system")
        yield
        owner.kill()


def test_a_leased_file_delays_nobody_and_is_read_later(bench: Bench) -> None:
    engine = bench.start()
    with leased(bench.sessions / SESSION):
        bench.until(lambda: engine.health().reasons, "health says so")
        goes_on(bench)
        assert bench.status("x") is None
    bench.until(lambda: bench.status("x") == "Completed", "it is read")
    bench.until(lambda: not engine.health().reasons, "health is good again")


def test_a_lease_is_not_taken_for_a_lack_of_descriptors(bench: Bench) -> None:
    engine = bench.start()
    with leased(bench.sessions / SESSION):
        bench.until(lambda: engine.health().reasons, "health says so")
        assert "limit of open files" not in engine.health().reasons[0]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing can be opened in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "scan",
    [False, True],
)
def test_without_descriptors_no_file_counts_as_gone(bench: Bench, *, scan: bool) -> None:
    engine = bench.start()
    goes_on(bench, "kept")
    bench.until(lambda: engine.idle and not engine.store.unsettled(), "all at rest")
    leave(bench.sessions, "x", GOOD)
    os.utime(bench.sessions / "session_kept.json")
    with no_descriptors():
        if scan:
            engine.rescan()
        bench.until(lambda: engine.health().reasons, "health says so")
        kept = bench.row("kept")
    assert kept is not None
    assert (kept.status, kept.source_state) == ("Completed", "present")
    bench.until(lambda: bench.status("x") == "Completed" and not engine.health().reasons, "it healed")
