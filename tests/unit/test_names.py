"""File names: what is ours, what is not, and what only looks like it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reevd.names import EXECUTION_ID, classify, files_of, printable

quick = settings(deadline=None, derandomize=True, database=None, max_examples=300)


@pytest.mark.parametrize("execution_id", ["a", "0", "A.b_c-d", "x" * 128, "12345678-1234-1234-1234-123456789abc"])
def test_the_names_of_an_execution_lead_back_to_it(execution_id: str) -> None:
    for name in files_of(execution_id):
        found = classify(os.fsencode(name))
        assert found is not None
        assert (found.file, found.execution_id) == (name, execution_id)


@pytest.mark.parametrize("execution_id", ["", ".", "..", "-rf", "_x", "a b", "a\n", "a/b", "é", "x" * 129, "a\0"])
def test_what_is_no_id_is_shown_and_never_taken_for_one(execution_id: str) -> None:
    found = classify(b"session_" + execution_id.encode() + b".json")
    assert found is not None
    assert found.execution_id is None
    assert found.file.isprintable()


@pytest.mark.parametrize(
    "name", [b"notes.txt", b".session_a.json.tmp", b"session_a.json~", b"Session_a.json", b"otel.jsonl"]
)
def test_what_is_none_of_ours_is_left_alone(name: bytes) -> None:
    assert classify(name) is None


@quick
@given(st.binary(max_size=200))
def test_no_bytes_make_an_id_that_is_none(middle: bytes) -> None:
    for name in (b"session_" + middle + b".json", b"enhanced_otel_" + middle + b".jsonl", middle):
        found = classify(name)
        if found is not None and found.execution_id is not None:
            assert EXECUTION_ID.fullmatch(found.execution_id)
            assert found.execution_id.encode() == middle


@quick
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_what_is_printed_is_printable_and_tells_names_apart(one: bytes, other: bytes) -> None:
    assert printable(one).isprintable() or not one
    if one != other:
        assert printable(one) != printable(other)
