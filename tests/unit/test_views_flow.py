"""The flow's text: what it is made of, and that nothing that a file holds leaves its place."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reevd.views.flow import MOST_STATES, facts, flow
from reevd.views.mermaid import diagram, label
from reevd.views.page import page

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
STATUSES = st.sampled_from(("Queued", "Running", "Completed", "Failed", "Stopped", "Timeout"))
LINE = re.compile(
    r"    (?:    )?(?:(?:\[\*\]|\w+) --> (?:\[\*\]|\w+)(?: : [^:;\n\"{}<>]*(?:#\d+;[^:;\n\"{}<>]*)*)?"
    r"|state \"[^\"\n:{}<>]*\" as \w+|state \w+ \{|\}|classDef \w+ [^\n]+|class [\w,]+ \w+)"
)


def execution(**fields: Any) -> dict[str, Any]:
    return {
        "execution_id": "x",
        "benchmark_id": "case",
        "agent": "local",
        "status": "Completed",
        "score": 1.0,
        "error_message": None,
        "result_data": None,
        "metadata": None,
        "tool_calls": 0,
        **fields,
    }


def call(**fields: Any) -> dict[str, Any]:
    return {"tool_name": "t", "status": "success", "params": None, "result": None, **fields}


@settings(deadline=None)
@given(JSON, JSON, st.text(), st.text(), STATUSES)
def test_whatever_a_run_left_the_lines_stay_lines(data: Any, value: Any, name: str, error: str, status: str) -> None:
    run = execution(
        status=status,
        agent=name,
        error_message=error or None,
        result_data={"final_result": {"data": data if isinstance(data, dict) else {"steps": [data], "prompt": data}}},
    )
    for calls in ([], [call(tool_name=name, params=value, result=value, error_message=error, status=name or "open")]):
        found = flow(run, calls)
        head, *lines = diagram(found).split("\n")
        assert head == "stateDiagram-v2"
        assert [text for text in lines if not LINE.fullmatch(text)] == []
        whole = page("x", diagram(found), facts(run, found, len(calls)), calls)
        assert whole.count("<script") == 3 == whole.count("</script>")


def test_a_label_holds_nothing_that_mermaid_acts_on() -> None:
    assert label("10 % of a_b, (c) [d] = é") == "10 % of a_b, (c) [d] = é"
    assert label('a: b; "c" {d} <e> --> %% `f` #g') == (
        "a#58; b#59; #34;c#34; #123;d#125; #60;e#62; #45;#45;#62; #37;#37; #96;f#96; #35;g"
    )


def test_more_calls_than_can_be_drawn_are_counted() -> None:
    text = diagram(flow(execution(tool_calls=2_000), [call()] * 200))
    assert f'state "… and {2_000 - MOST_STATES} more" as more' in text
    assert text.count(" as call_") == MOST_STATES


def test_a_call_that_waits_and_one_that_failed_look_like_it() -> None:
    calls = [call(error_message="no funds", status="error"), call(status="open")]
    text = diagram(flow(execution(status="Running", tool_calls=2), calls))
    assert "class call_1 failed" in text
    assert "class call_2 open" in text
    assert "#58; no funds" in text
    assert "call_2 --> [*]" not in text
