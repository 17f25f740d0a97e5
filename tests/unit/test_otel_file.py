"""Telemetry, line by line: however the bytes arrive, the same evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reevd.otel_file import MAX_LINE, Telemetry
from tests.harness import ROOT

CAPTURES = sorted((ROOT / "fixtures" / "sessions").glob("*/*.jsonl"))


def read(data: bytes, *cuts: int) -> Telemetry:
    """Fed in pieces, as a tail would: what was not taken comes again with the next piece."""
    telemetry, rest = Telemetry(), b""
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        rest += data[start:end]
        rest = rest[telemetry.feed(rest) :]
    telemetry.close(rest)
    return telemetry


def told(telemetry: Telemetry) -> dict[str, Any]:
    names = ("calls", "steps", "lines", "first_at", "last_at", "named_ids", "bad_lines", "first_bad")
    return {name: getattr(telemetry, name) for name in names}


def asked(name: str, second: int = 0) -> str:
    at = f"2026-01-01T00:00:{second:02}.000000Z"
    return json.dumps({"event_type": "ToolInput", "timestamp": at, "tool_input": {"tool_name": name, "tool_args": {}}})


def answered(result: object = None, *, success: bool = True) -> str:
    return json.dumps({"event_type": "ToolOutput", "tool_output": {"success": success, "results": result}})


def calls(*lines: str | bytes) -> list[tuple[str, str]]:
    data = b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
    return [(call.tool_name, call.status) for call in read(data).calls]


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.parent.name)
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(shares=st.lists(st.floats(0, 1), max_size=6))
def test_every_way_to_cut_a_file_says_the_same(path: Any, shares: list[float]) -> None:
    data = path.read_bytes()
    cuts = sorted(int(share * len(data)) for share in shares)
    assert told(read(data, *cuts)) == told(read(data))


def test_calls_pair_innermost_first() -> None:
    lines = asked("outer"), asked("inner"), answered(), answered(success=False)
    assert calls(*lines) == [("outer", "error"), ("inner", "success")]


def test_an_answer_without_a_question_is_a_call_of_its_own() -> None:
    assert calls(answered(), asked("next")) == [("unknown", "success"), ("next", "open")]


def test_lines_end_at_newlines_and_nowhere_else() -> None:
    name = "a\u2028b\x85c\x0cd"
    event = {"event_type": "ToolInput", "tool_input": {"tool_name": name}}
    assert calls(json.dumps(event, ensure_ascii=False)) == [(name, "open")]


@pytest.mark.parametrize("end", ["\r", " ", "\t", ""])
def test_white_space_around_a_line_is_nothing(end: str) -> None:
    assert calls(end + asked("t") + end, "", "   ", "# SESSION_SUMMARY", "  # too") == [("t", "open")]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{}{}", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b'{"a": NaN}', "no JSON"),
        (b"\0" * 20, "no JSON"),
        (b"[1]", "a JSON list"),
        (b'"text"', "a JSON str"),
        (b'{"a":"' + b"x" * MAX_LINE + b'"}', "longer than"),
    ],
)
def test_a_bad_line_is_counted_with_its_offset_and_costs_no_other(line: bytes, why: str) -> None:
    first = asked("first").encode() + b"\n"
    telemetry = read(first + line + b"\n" + answered().encode() + b"\n")
    assert [call.status for call in telemetry.calls] == ["success"]
    assert telemetry.bad_lines == 1
    assert telemetry.first_bad is not None
    assert telemetry.first_bad.offset == len(first)
    assert why in telemetry.first_bad.why


def test_a_line_counts_once_its_newline_is_there_or_none_will_come() -> None:
    telemetry, line = Telemetry(), asked("t").encode()
    assert telemetry.feed(line) == 0
    assert telemetry.calls == []
    telemetry.close(line)
    assert [call.tool_name for call in telemetry.calls] == ["t"]


def test_an_endless_line_is_passed_over_without_being_kept() -> None:
    telemetry, piece = Telemetry(), b"x" * (MAX_LINE + 1)
    assert [telemetry.feed(piece) for _ in range(3)] == [len(piece)] * 3
    telemetry.feed(b"\n" + asked("after").encode() + b"\n")
    assert [call.tool_name for call in telemetry.calls] == ["after"]
    assert telemetry.bad_lines == 1


def test_what_changed_is_told_once_and_from_the_first_call_on() -> None:
    telemetry = Telemetry()
    telemetry.feed("\n".join([asked("a"), asked("b"), ""]).encode())
    assert telemetry.take_changed() == 0
    assert telemetry.take_changed() is None
    telemetry.feed(answered().encode() + b"\n")
    assert telemetry.take_changed() == 1


@pytest.mark.parametrize("odd", [None, 1, [], {}, "", True])
def test_fields_of_any_type_break_nothing(odd: object) -> None:
    names = ("tool_input", "tool_output", "timing", "timestamp", "session_id", "tool_name", "metadata")
    kinds = ("ToolInput", "ToolOutput", "StepComplete", "Prompt", None)
    lines = [json.dumps({"event_type": kind, **dict.fromkeys(names, odd)}).encode() for kind in kinds]
    telemetry = read(b"\n".join(lines) + b"\n")
    assert (telemetry.lines, telemetry.bad_lines, telemetry.steps) == (5, 0, 1)
