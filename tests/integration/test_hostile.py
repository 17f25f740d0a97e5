"""Files that nobody sane would leave: the engine goes on, says what is wrong, and heals with the file."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reevd.bounds import Pace
from reevd.otel_file import MAX_LINE
from tests.harness import leave, session
from tests.integration.conftest import Bench

SESSION, OTEL = "session_x.json", "enhanced_otel_x.jsonl"
GOOD = json.dumps(session("x"))
TOO_DEEP = "orjson reads 1,024 levels and writes 254: what lies between raises TypeError in dumps, inside the look"


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


@pytest.mark.xfail(strict=True, reason="Reader._follow makes the problem without the id, which Part does not carry")
def test_oversized_telemetry_is_shown_with_its_execution(bench: Bench) -> None:
    bench.start()
    sparse(bench.sessions / OTEL)
    bench.until(lambda: bench.problems(), "the problem is shown")
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


ODD: list[tuple[str, dict[str, Any]]] = [
    (f"{name} is {value}", {name: value})
    for name in ("start_time", "end_time", "session_id", "benchmark_id", "events")
    for value in (2**63, -(2**63), 2**64, 1e308)
]
ODD += [
    ("2**63 in the result", {"final_result": {"success": True, "score": 1, "execution_time_ms": 2**63}}),
    ("2**63 as score", {"final_result": {"success": True, "score": 2**63}}),
    ("2**63 steps", {"metadata": {"steps_total": 2**63}}),
    ("250 levels", {"final_result": {"success": True, "score": 1, "data": nested(250)}}),
    ("terminal escapes", {"agent_type": "\x1b]0;owned\x07\u202e", "benchmark_id": "\x00\n"}),
]


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in ODD])
def test_odd_values_do_not_hide_a_result(bench: Bench, fields: dict[str, Any]) -> None:
    bench.start()
    leave(bench.sessions, "x", session("x", **fields))
    bench.until(lambda: bench.status("x") == "Completed", "the result stands")
    assert not bench.problems()


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.encode()[:-1] + b',"agent_type":"last"}'])
def test_a_byte_order_mark_and_doubled_keys_are_read(bench: Bench, content: bytes) -> None:
    bench.start()
    (bench.sessions / SESSION).write_bytes(content)
    bench.until(lambda: bench.status("x") == "Completed", "the result stands")
    row = bench.row("x")
    assert row is not None
    assert row.agent == ("last" if b"last" in content else "deterministic")


@pytest.mark.xfail(strict=True, reason=TOO_DEEP)
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
