"""Content that nobody sane would write: shown or read, never believed blindly, never in the neighbours' way."""

from __future__ import annotations

import json
import sys
from typing import Any

import orjson
import pytest

from reevd import session_file
from reevd.otel_file import MAX_LINE
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.hostile import GOOD, OTEL, SESSION, goes_on, is_shown

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


def test_what_is_stored_of_many_levels_can_be_read_from_the_journal() -> None:
    """Newer Pythons write deeper ones than orjson reads, and a record is two levels deeper than what it holds."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        found = {depth: session_file.dumps(nested(depth)) for depth in (300, 1000, 1020, 1021, 1022, 1023)}
    finally:
        sys.setrecursionlimit(limit)
    for text in found.values():
        orjson.loads(f'{{"result":{{"result_data":{text}}}}}')
    assert len(found[1000]) > 1000


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
