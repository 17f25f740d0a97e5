"""The trace: how a run ended and why, then what it did. What whole traces look like stands in fixtures/golden/."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reevd.views.trace import message, trace
from tests.harness import ROOT

SYSTEM = "11111111111111111111111111111111"
TRANSFER = {
    "program_id": SYSTEM,
    "accounts": ["Aaaa", {"pubkey": "Bbbb", "is_writable": True}],
    "data": "3Bxs411Dtc7pkFQj",
}


def run(status: str, final: object = None, **fields: Any) -> dict[str, Any]:
    return {
        "execution_id": "x",
        "benchmark_id": "001-sol-transfer",
        "agent": "a",
        "status": status,
        "reason": "because",
        "error_message": None,
        "score": None,
        "progress": 0.0,
        "tool_calls": 0,
        "started_at": None,
        "ended_at": None,
        "result_data": None if final is None else {"final_result": final},
        "metadata": None,
        **fields,
    }


def call(name: str, **fields: Any) -> dict[str, Any]:
    return {"tool_name": name, "started_at": None, "duration_ms": None, "params": None, "result": None,
            "status": "success", "error_message": None, **fields}  # fmt: skip


def failed(error: object, *instructions: object, **observation: object) -> dict[str, Any]:
    step = {"action": list(instructions), "observation": {"last_transaction_error": error, **observation}}
    return run("Failed", {"data": {"steps": [step]}}, error_message="it broke")


@pytest.mark.parametrize(
    ("status", "score", "head"),
    [
        ("Queued", None, "… 001-sol-transfer (Score: none): Queued"),
        ("Running", None, "▶ 001-sol-transfer (Score: none): Running"),
        ("Completed", 1.0, "✔ 001-sol-transfer (Score: 100.0%): Succeeded"),
        ("Failed", 0.75, "✘ 001-sol-transfer (Score: 75.0%): Failed"),
        ("Stopped", None, "■ 001-sol-transfer (Score: none): Stopped"),
        ("Timeout", 0.0, "⏱ 001-sol-transfer (Score: 0.0%): Timeout"),
    ],
)
def test_the_first_line_says_how_it_ended(status: str, score: float | None, head: str) -> None:
    lines = trace(run(status, score=score), []).splitlines()
    assert lines[0] == head
    assert ("├─ why: because" in lines) == (status in ("Failed", "Stopped", "Timeout"))


@pytest.mark.parametrize(
    ("status", "final", "calls", "expected"),
    [
        ("Queued", None, 0, "it waits for its start: there is nothing to trace yet"),
        ("Running", None, 0, "it runs, and nothing is known of its steps yet"),
        ("Running", None, 1, "it runs; known so far: 1 tool call"),
        ("Timeout", None, 2, "it left no result; it is traced by 2 tool calls"),
        ("Timeout", None, 0, "it ended without a trace: it left no result, and no tool calls are known"),
        ("Failed", {"data": {}}, 0, "it ended without a trace: its result holds no steps, and no tool calls are known"),
        ("Failed", {"data": {"steps": [{}, 5, {}]}}, 7, "2 steps"),
    ],
)
def test_what_it_is_made_of(status: str, final: object, calls: int, expected: str) -> None:
    several = [call("t")] * calls
    assert message(run(status, final), several) == expected
    assert (f"trace: {expected}" in trace(run(status, final), several)) == (not expected.endswith(" steps"))


def test_a_run_without_steps_is_traced_by_its_tool_calls() -> None:
    calls = [
        call("sol_transfer", params={"amount": 5, "mint": None}, result=json.dumps([TRANSFER]), duration_ms=0.5),
        call("balance", status="open"),
    ]
    text = trace(run("Running", tool_calls=5, progress=0.25), calls)
    assert text.splitlines()[2:] == [
        "├─ status: Running, because, 25.0% done",
        "├─ execution: x",
        "├─ trace: it runs; known so far: 2 tool calls",
        "├─ Step 1: sol_transfer",
        "│  ├─ ACTION",
        "│  │  ├─ parameters: amount=5",
        "│  │  └─ 0. System: Transfer 0.1 SOL from Aaaa to Bbbb",
        f"│  │     ├─ program {SYSTEM}",
        f"│  │     ├─ account  0  ?       ?         {'Aaaa':<44}  from",
        f"│  │     ├─ account  1  ?       writable  {'Bbbb':<44}  to",
        "│  │     └─ data 3Bxs411Dtc7pkFQj",
        "│  └─ OBSERVATION: success after 0.5 ms",
        "├─ Step 2: balance",
        "│  ├─ ACTION: no parameters",
        "│  └─ OBSERVATION: no answer yet",
        "└─ … and 3 more tool calls: see its tool calls",
    ]
    assert "OBSERVATION: no answer\n" in trace(run("Timeout"), calls[::-1])


@pytest.mark.parametrize("result", ["[no JSON", "{", "[1, {}]", '{"instructions": 5}', "plain", {"transactions": []}])
def test_a_result_that_proposes_nothing_is_shown_as_it_is(result: object) -> None:
    text = result if isinstance(result, str) else json.dumps(result, separators=(",", ":"))
    assert trace(run("Running"), [call("t", result=result)]).endswith(f"OBSERVATION: success\n      └─ result: {text}")


@pytest.mark.parametrize("result", [TRANSFER, {"instructions": [TRANSFER]}, {"transactions": [[TRANSFER], 7]}])
def test_instructions_are_found_in_every_form_of_a_result(result: object) -> None:
    for form in (result, json.dumps(result)):
        assert "─ 0. System: Transfer 0.1 SOL from Aaaa to Bbbb\n" in trace(run("Running"), [call("t", result=form)])


@pytest.mark.parametrize(
    "error",
    [
        "Error processing Instruction 1: custom program error: 0x1",
        "InstructionError(1, Custom(1))",
        {"InstructionError": [1, {"Custom": 1}]},
    ],
)
def test_an_error_is_put_in_words(error: object) -> None:
    states = {"account_states": {"Aaaa": {"lamports": 5}}}
    lines = trace(failed(error, TRANSFER, TRANSFER, **states), []).splitlines()
    assert lines[1:5] == [
        "├─ why: it broke",
        "│  ├─ System: the account does not have enough SOL (its error 1)",
        "│  ├─ in instruction 1: System Transfer 0.1 SOL from Aaaa to Bbbb",
        "│  └─ Aaaa holds 0.000000005 SOL",
    ]
    assert [line.split(" System")[0].split("─ ")[1] for line in lines if ". System" in line] == ["0.", "✘ 1."]


@pytest.mark.parametrize(
    ("error", "instructions", "expected"),
    [
        ("custom program error: 0x1", [TRANSFER], []),  # of which program, nothing tells
        ("Instruction 7: custom program error: 0x1", [TRANSFER], ["in instruction 7, which the action does not have"]),
        ("Instruction 0: custom program error: 0x99", [TRANSFER],
         ["System: it does not say what that means (its error 153)",
          "in instruction 0: System Transfer 0.1 SOL from Aaaa to Bbbb"]),
        ("BlockhashNotFound", [TRANSFER], []),
    ],
)  # fmt: skip
def test_what_an_error_does_not_tell_is_not_guessed(error: str, instructions: list[Any], expected: list[str]) -> None:
    _, why, *rest = trace(failed(error, *instructions), []).splitlines()
    assert why == "├─ why: it broke"
    assert [line[6:] for line in rest[: rest.index("├─ agent: a")]] == expected


def test_what_the_tools_refused_is_a_cause() -> None:
    calls = [call("t"), call("sol_transfer", status="error", error_message="amount is\nmissing")]
    lines = trace(run("Failed", {"data": {}}, error_message="the model gave up"), calls).splitlines()
    assert lines[1:3] == ["├─ why: the model gave up", "│  └─ sol_transfer: amount is\\nmissing"]


def test_a_fixture_that_failed_names_the_innermost_cause() -> None:
    path = ROOT / "fixtures" / "sessions" / "recorded-003-spl-transfer-fail"
    document = json.loads((path / "session_recorded-003-spl-transfer-fail.json").read_text())
    lines = trace(run("Failed", document["final_result"], error_message="e"), []).splitlines()
    assert lines[2:5] == [
        "│  ├─ SPL Token: insufficient funds (its error 1)",
        "│  ├─ in instruction 0: SPL Token Transfer 15 USDC from USER_USDC_ATA to RECIPIENT_USDC_ATA",
        "│  └─ USER_USDC_ATA holds 10 USDC",
    ]
