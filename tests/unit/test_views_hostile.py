"""Results are hostile: whatever JSON stands in one, it is shown in lines that cannot act, never raised over."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reevd.model import Status
from reevd.views.trace import message, trace
from reevd.views.transactions import message as logs_message
from reevd.views.transactions import transactions
from reevd.views.tree import MOST_LINES
from tests.harness import ROOT

FIXTURE = ROOT / "fixtures" / "sessions" / "a-flow-that-fails" / "session_flow-fails.json"
FINAL = json.loads(FIXTURE.read_text())["final_result"]
STEP, METADATA = FINAL["data"]["steps"][1], {
    "score": {"instructions": 0.5, "onchain": 1, "parts": [
        {"what": "instructions[0].program_id", "expected": "a", "got": None, "matched": False},
        {"what": "instructions[0].data", "expected": "3Bxs", "matched": False},
        {"what": "x", "expected": "3Bxs", "got": {"pubkey": "x", "is_signer": True}, "matched": False}]},
    "assertions": [{"type": "SolBalance", "pubkey": "U", "expected": 1, "actual": 2, "passed": False}]}  # fmt: skip
TEXT = st.text(max_size=12) | st.sampled_from(
    [
        "\x1b[31m",
        "\u202e",
        "\u2028",
        "a\nb",
        "Program A invoke [1]",
        "Program A failed: \x07",
        "[{}]",
        "[no json",
        "1" * 3_000,
    ]
)
LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    LEAF | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for key, below in inner for place in places(below, (*here, key)))]


RUN = {
    "execution_id": "x",
    "benchmark_id": "b",
    "agent": "a",
    "status": "Failed",
    "reason": "r",
    "error_message": "e",
    "score": 0.5,
    "progress": 0.5,
    "tool_calls": 1,
    "started_at": None,
    "ended_at": None,
    "result_data": {"final_result": {**FINAL, "data": {"prompt": "p", "steps": [STEP]}}},
    "metadata": METADATA,
}
CALL = {"tool_name": "t", "started_at": None, "duration_ms": 1.0, "params": {"a": 1}, "result": [STEP["action"][0]],
        "status": "success", "error_message": None}  # fmt: skip
PLACES = [place for field in ("result_data", "metadata") for place in places(RUN[field], (field,))]
CALL_PLACES = [place for field in ("params", "result") for place in places(CALL[field], (field,))]


def spoilt(whole: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    made = here = copy.deepcopy(whole)
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = value
    return made


def shown(run: dict[str, Any], calls: list[dict[str, Any]]) -> None:
    texts = [trace(run, calls), transactions(run, "plain", units=True), transactions(run, "yaml", units=True)]
    for text in texts:
        lines = text.split("\n")
        assert all(line.isprintable() for line in lines)
        assert len(lines) <= MOST_LINES + 1
        assert max(map(len, lines)) < 3_000
    yaml.load(texts[2], yaml.CSafeLoader)
    assert message(run, calls)
    assert logs_message(run)


@given(st.sampled_from(PLACES), JSON, st.sampled_from(list(Status)))
@settings(max_examples=300, deadline=None)
def test_any_json_at_any_place_of_a_result(place: tuple[Any, ...], value: Any, status: str) -> None:
    shown({**spoilt(RUN, place, value), "status": status}, [CALL])


@given(st.sampled_from(CALL_PLACES), JSON, st.sampled_from(["success", "error", "timeout", "open"]), JSON)
@settings(max_examples=100, deadline=None)
def test_any_json_at_any_place_of_a_tool_call(place: tuple[Any, ...], value: Any, status: str, result: Any) -> None:
    shown({**RUN, "result_data": {"final_result": result}}, [{**spoilt(CALL, place, value), "status": status}])


@given(JSON, JSON)
@settings(max_examples=100, deadline=None)
def test_any_json_as_a_result(result: Any, metadata: Any) -> None:
    shown({**RUN, "result_data": result, "metadata": metadata}, [])


@given(
    st.lists(
        TEXT
        | st.from_regex(
            r"Program (A|B) (invoke \[[0-9]\]|success|failed: .|consumed 1 of 2 compute units)", fullmatch=True
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_any_log(lines: list[str]) -> None:
    step = {**STEP, "observation": {**STEP["observation"], "last_transaction_logs": lines}}
    shown({**RUN, "result_data": {"final_result": {"data": {"steps": [step]}}}}, [])


def test_a_result_as_deep_as_json_can_be_read() -> None:
    deep = json.loads("[" * 900 + "]" * 900)
    for place in PLACES:
        shown(spoilt(RUN, place, deep), [{**CALL, "params": deep, "result": deep}])


def test_a_result_as_large_as_is_read_is_shown_soon() -> None:
    """Megabytes of steps, of instructions, of accounts, of log lines, of text: all the same to who waits."""
    action = STEP["action"][0]
    account = action["accounts"][0]
    large = {
        "steps": [STEP] * 1_000,
        "instructions": [{**STEP, "action": [action] * 2_000}],
        "accounts": [{**STEP, "action": [{**action, "accounts": [account] * 40_000}]}],
        "lines": [
            {**STEP, "observation": {"last_transaction_logs": STEP["observation"]["last_transaction_logs"] * 2_000}}
        ],
        "text": [{**STEP, "thought": "a b " * 1_000_000, "observation": {"last_transaction_error": "x" * (2 << 20)}}],
        "states": [{**STEP, "observation": {"account_states": {f"name {n}": {"lamports": n} for n in range(50_000)}}}],
    }
    for name, steps in large.items():
        began = time.process_time()
        shown({**RUN, "result_data": {"final_result": {"data": {"steps": steps}}}}, [CALL] * 200)
        took = time.process_time() - began
        assert took < 3, f"{name} took {took:.1f} s"
