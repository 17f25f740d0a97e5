"""What an execution went through, step by step."""

from __future__ import annotations

import json

from reevd.derive import Evidence, derive
from reevd.history import MOST
from reevd.model import Execution
from reevd.session_file import parse_session
from reevd.times import SECOND

NOW = 1_790_000_000 * SECOND


def derived(previous: Execution | None, **final: object) -> Execution:
    document = {"session_id": "x", "benchmark_id": "b", "agent_type": "a", "end_time": 1, "final_result": final}
    session = parse_session(json.dumps(document).encode())
    return derive(Evidence("x", session, None, "session_x.json", None, NOW, NOW, previous=previous), NOW)


def test_the_same_result_again_is_no_step() -> None:
    first = derived(None, success=True, score=1.0)
    assert derived(first, success=True, score=1.0).history == first.history


def test_a_result_that_contradicts_another_says_so_with_both_digests() -> None:
    first = derived(None, success=True, score=1.0, data={"by": "one"})
    row = derived(first, success=True, score=1.0, data={"by": "two"})
    before, after = json.loads(row.history)
    assert (before["status"], after["status"], row.score) == ("Completed", "Completed", 1.0)
    assert after["reason"].count("SHA-256") == 2
    assert "instead of another result" in after["reason"]
    assert row.reason == first.reason, "what stands is said of what stands"
    failed = derived(row, success=False, score=0.5)
    assert [step["status"] for step in json.loads(failed.history)] == ["Completed", "Completed", "Failed"]


def test_a_result_that_turns_for_ever_keeps_how_it_began_and_where_it_is() -> None:
    row = derived(None, success=True, score=1.0)
    rows = [row := derived(row, success=bool(number % 2), score=0.5) for number in range(500)]
    steps, before = (json.loads(of.history) for of in (rows[-1], rows[150]))
    assert len(before) == 152, "none is left out before there are many"
    assert len(steps) == MOST
    assert steps[:50] == before[:50]
    assert [step["status"] for step in steps[-4:]] == ["Failed", "Completed", "Failed", "Completed"]


def test_results_without_end_do_not_make_it_grow() -> None:
    row = derived(None, success=True, score=1.0)
    for number in range(20):
        row = derived(row, success=True, score=1.0, data={"by": number})
    assert len(json.loads(row.history)) == 2
