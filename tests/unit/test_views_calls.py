"""The log of a transaction as nested calls, in YAML that a program reads too."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from reevd.views.calls import DEEPEST, Call, calls, failed, walk
from reevd.views.transactions import message, transactions

A, B, TOKEN = "Aaaa", "Bbbb", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"


def shape(parts: list[Call | str]) -> list[Any]:
    """Calls as (program, succeeded, parts), lines as they are."""
    return [p if isinstance(p, str) else (p.program, p.succeeded, shape(p.parts)) for p in parts]


def invoke(program: str, depth: int) -> str:
    return f"Program {program} invoke [{depth}]"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([invoke(A, 1), "Program log: hi", f"Program {A} success"], [(A, True, ["hi"])]),
        (
            [invoke(A, 1), invoke(B, 2), f"Program {B} success", "Program log: after", f"Program {A} success"],
            [(A, True, [(B, True, []), "after"])],
        ),
        ([invoke(A, 1), f"Program {A} failed: why: so"], [(A, False, [])]),
        # It calls itself.
        (
            [invoke(A, 1), invoke(A, 2), f"Program {A} success", f"Program {A} success"],
            [(A, True, [(A, True, [])])],
        ),
        # Cut: nothing says how they ended.
        ([invoke(A, 1), invoke(B, 2), "Log truncated"], [(A, None, [(B, None, ["Log truncated"])])]),
        # The end of the inner one is missing; the outer one goes on.
        ([invoke(A, 1), invoke(B, 2), f"Program {A} success"], [(A, True, [(B, None, [])])]),
        ([invoke(A, 1), invoke(B, 1)], [(A, None, []), (B, None, [])]),
        # Malformed: ends of what never began, depths that skip or make no sense, lines of nobody.
        ([f"Program {A} success", "lost"], [f"Program {A} success", "lost"]),
        ([invoke(A, 4), invoke(B, 9), f"Program {B} success"], [(A, None, [(B, True, [])])]),
        ([invoke(A, 0)], [(A, None, [])]),
        (["Program  invoke [1]", "Program A invoke [x]", "Program A invoke [1] "],) * 2,
        (["", "Program log:", "Program log: ", "Program logs: x"], ["", "", "", "Program logs: x"]),
        ([invoke(A, 1), "Program data: aGk="], [(A, None, ["Program data: aGk="])]),
    ],
)
def test_nesting(lines: list[str], expected: list[Any]) -> None:
    assert shape(calls(lines)) == expected


def test_units_belong_to_the_call_that_used_them() -> None:
    lines = [invoke(A, 1), invoke(B, 2), f"Program {B} consumed 3 of 9 compute units", f"Program {B} success",
             f"Program {A} consumed 5 of 10 compute units", f"Program {A} success"]  # fmt: skip
    assert [(c.program, c.consumed) for c in walk(calls(lines))] == [(A, (5, 10)), (B, (3, 9))]


def test_the_innermost_failure_is_the_cause() -> None:
    lines = [invoke(A, 1), invoke(B, 2), f"Program {B} failed: inner", f"Program {A} failed: outer"]
    found = failed(calls(lines))
    assert found is not None
    assert (found.program, found.error) == (B, "inner")


def test_a_forged_log_cannot_nest_without_end() -> None:
    lines = [invoke(A, depth) for depth in range(1, 5_000)]
    found = calls(lines)
    assert len(list(walk(found))) == 4_999

    def depth(parts: list[Call | str]) -> int:
        return max((1 + depth(part.parts) for part in parts if isinstance(part, Call)), default=0)

    assert depth(found) == DEEPEST + 1


def execution(logs: object, **observation: object) -> dict[str, Any]:
    step = {"observation": {"last_transaction_status": "Failure", "last_transaction_logs": logs, **observation}}
    return {
        "status": "Failed",
        "result_data": {"final_result": {"data": {"steps": ["no step", {"action": []}, step]}}},
    }


DEEP = [line for depth in range(1, 6) for line in (invoke(TOKEN, depth), f"Program log: at {depth}")]
DEEP += [f"Program {TOKEN} consumed {depth} of 99 compute units" for depth in (5,)]
DEEP += [f"Program {TOKEN} failed: custom program error: 0x4"] * 5


def test_yaml_is_nested_as_the_calls_are() -> None:
    (step,) = yaml.safe_load(transactions(execution(DEEP, last_transaction_error="boom: #1"), "yaml", units=True))
    assert (step["step"], step["status"], step["error"]) == (3, "Failure", "boom: #1")
    assert step["failed_program"] == "SPL Token"
    assert step["cause"] == ["SPL Token: the owner does not match (its error 4)"]
    (call,) = step["log"]
    for depth in range(1, 6):
        assert (call["program"], call["id"], call["depth"]) == ("SPL Token", TOKEN, depth)
        assert call["result"] == "failed: custom program error: 0x4"
        assert call["log"][0] == f"at {depth}"
        assert ("consumed" in call) == (depth == 5)
        call = call["log"][1] if depth < 5 else call


def test_units_are_shown_where_they_are_asked_for() -> None:
    for form in ("yaml", "plain"):
        assert "99" in transactions(execution(DEEP), form, units=True)
        assert "99" not in transactions(execution(DEEP), form, units=False)


def test_plain_is_a_tree() -> None:
    lines = [invoke(TOKEN, 1), "Program log: Error: no\x1b[2J", invoke(A, 2), f"Program {A} success",
             f"Program {TOKEN} failed: custom program error: 0x1"]  # fmt: skip
    assert transactions(execution(lines), "plain", units=False).splitlines() == [
        "Step 3: Failure",
        f"└─ ✘ SPL Token ({TOKEN}) [1]",
        "   ├─ log: Error: no\\x1b[2J",
        "   ├─ ✔ Aaaa [2]",
        "   └─ failed: custom program error: 0x1",
    ]


def test_a_log_that_is_cut_says_so() -> None:
    logs = [invoke(A, 1), "Log truncated"]
    (step,) = yaml.safe_load(transactions(execution(logs), "yaml", units=False))
    assert step["truncated"] is True
    assert step["log"][0]["result"] == "unknown"
    assert "the log ends here" in transactions(execution(logs), "plain", units=False)


WORDS = ["null", "yes", "1e3", "- a", "a: b", "#", "", " x", "x ", "'", '"', "{", "0x1", "é", "~", "2026-01-01", "\x1b",
         "a\nb", "| x", "*a", "off", "N", "a,b", "=", "<<"]  # fmt: skip


@pytest.mark.parametrize("text", WORDS)
def test_any_line_comes_through_yaml(text: str) -> None:
    (step,) = yaml.safe_load(transactions(execution([text], last_transaction_status=text), "yaml", units=False))
    assert step["log"] == [text.encode("unicode_escape").decode() if not text.isprintable() else text]
    assert step["status"] == step["log"][0]


@pytest.mark.parametrize("form", ["yaml", "plain"])
def test_a_log_without_end_is_cut(form: str) -> None:
    text = transactions(execution(["x" * 10_000] * 30_000), form, units=False)
    assert text.endswith("# cut after 5,000 lines")
    assert len(text) < 6_000_000


@pytest.mark.parametrize(
    ("status", "result", "expected"),
    [
        ("Queued", None, "it waits for its start: there are no transactions yet"),
        ("Running", None, "it runs: logs of its transactions come with its result"),
        ("Timeout", None, "it ended without logs: it has no steps"),
        ("Failed", {"final_result": {"data": {"steps": [{}]}}}, "it ended without logs: none of its steps has any"),
    ],
)
def test_why_there_are_no_logs(status: str, result: object, expected: str) -> None:
    run = {"status": status, "result_data": result}
    assert message(run) == expected
    assert transactions(run, "yaml", units=True) == transactions(run, "plain", units=True) == ""


def test_the_logs_may_be_one_text() -> None:
    text = "\n".join([invoke(A, 1), f"Program {A} success"])
    assert "result: success" in transactions(execution(text), "yaml", units=False)
    assert message(execution(text)) == "the logs of 1 step, of 2 in all"
