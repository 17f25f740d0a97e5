"""Evidence to state, reason and row: a table. The order of evidence is tested in test_join_machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reevd.derive import DEFAULT_LIMITS, Evidence, Limits, Lock, Trace, deadline, derive, judge
from reevd.model import Decision, DecisionKind, Execution, Status
from reevd.session_file import Session, parse_session
from reevd.times import SECOND, rfc3339
from tests.harness import session

START = 1_760_000_000 * SECOND
NOW = START + 10 * SECOND
UNREADABLE = "it is no JSON"


def parsed(**fields: object) -> Session:
    return parse_session(json.dumps(session("x", **fields)).encode())


def ended_as(success: bool, **fields: object) -> Session:
    return parsed(final_result={"success": success, **fields})


def trace(**fields: Any) -> Trace:
    return Trace(0, None, None, frozenset(), 0, "")._replace(**fields)


def decided(kind: DecisionKind, at: int = NOW) -> Decision:
    return Decision("x", kind, at, f"because {kind}", "queued-case", "queued-agent")


def evidence(**fields: Any) -> Evidence:
    return Evidence("x", None, None, None, None, began_at=START, news_at=START)._replace(**fields)


STUB = parsed(end_time=None, final_result=None)
CLOSED = parsed(final_result=None)
SUCCESS = ended_as(True, score=1.0)
DECIDED = tuple(decided(kind) for kind in ("queued", "lost", "timed_out", "stopped"))
RUNNING = derive(evidence(session=STUB, session_file="session_x.json"), NOW)
COMPLETED = derive(evidence(session=SUCCESS, session_file="session_x.json"), NOW)


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (evidence(), "Queued", "it is known and has no file yet"),
        (evidence(decisions=(decided("queued"),)), "Queued", "because queued"),
        (evidence(session=STUB), "Running", "its files stand and hold no result yet"),
        (evidence(trace=trace()), "Running", "its files stand and hold no result yet"),
        (evidence(session=UNREADABLE), "Running", "its session file cannot be read: it is no JSON"),
        (evidence(previous=RUNNING), "Running", "its files are gone; a result may still come"),
        (evidence(session=STUB, decisions=(decided("queued"),)), "Running", "its files stand and hold no result yet"),
        (evidence(session=STUB, decisions=(decided("stopped"),)), "Stopped", "because stopped"),
        (evidence(session=STUB, decisions=(decided("timed_out"),)), "Timeout", "because timed_out"),
        (evidence(trace=trace(), decisions=(decided("lost"),)), "Failed", "because lost"),
        (evidence(session=UNREADABLE, decisions=(decided("lost"),)), "Failed", "because lost"),
        (evidence(session=STUB, decisions=DECIDED), "Stopped", "because stopped"),
        (evidence(session=STUB, decisions=DECIDED[:3]), "Timeout", "because timed_out"),
        (evidence(session=CLOSED), "Failed", "the session file was closed without a result"),
        (evidence(session=CLOSED, decisions=DECIDED), "Failed", "the session file was closed without a result"),
        (evidence(session=SUCCESS), "Completed", "the session file reports success, score 1"),
        (evidence(session=SUCCESS, decisions=DECIDED), "Completed", "the session file reports success, score 1"),
        (evidence(session=ended_as(True)), "Completed", "the session file reports success, no score"),
        (evidence(session=ended_as(False, score=0.75)), "Failed", "the session file reports failure, score 0.75"),
        (
            evidence(session=ended_as(False, score=0, error={"kind": "interrupted"}), decisions=(decided("lost"),)),
            "Stopped",
            "the run was interrupted, score 0",
        ),
        (
            evidence(session=ended_as(False, score=0, error={"kind": "timeout"})),
            "Timeout",
            "the run timed out, score 0",
        ),
        (
            evidence(session=ended_as(False, score=0, error={"kind": "chain"})),
            "Failed",
            "the run failed (chain), score 0",
        ),
    ],
)
def test_the_state_and_its_reason(given: Evidence, status: str, reason: str) -> None:
    row = derive(given, NOW)
    assert (row.status, row.reason) == (status, reason)
    assert (row.deadline_at is None) == (row.ended_at is not None) == Status(status).terminal
    step = json.loads(row.history)[-1]
    assert step["status"] == status
    if given.previous is None:
        assert (step["at"], step["reason"]) == (rfc3339(NOW), reason)


@pytest.mark.parametrize(
    ("final", "error"),
    [
        ({"success": True, "error": "not looked at"}, None),
        ({"success": False, "error": "no funds"}, "no funds"),
        ({"success": False, "error": {"kind": "chain", "message": "no blockhash"}}, "no blockhash"),
        (
            {"success": False, "data": {"steps": [{"observation": {"last_transaction_error": "0x1"}}, {}, None]}},
            "0x1",
        ),
        ({"success": False, "score": 0.5}, "the benchmark failed with score 0.5"),
    ],
)
def test_what_failed_says_why(final: dict[str, object], error: str | None) -> None:
    assert derive(evidence(session=parsed(final_result=final)), NOW).error_message == error


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (evidence(session=STUB), 300),
        (evidence(trace=trace(), news_at=START + 50 * SECOND), 350),
        (evidence(session=STUB, news_at=START + 3_500 * SECOND), 3_600),
        (evidence(decisions=(decided("queued"),)), 3_600),
        (evidence(previous=RUNNING), 300),
        (evidence(session=UNREADABLE), 300),
        (evidence(session=STUB, lock="held"), 3_600),
        (evidence(session=UNREADABLE, lock="held"), 3_600),
    ],
)
def test_a_run_without_a_result_is_given_up_at_its_deadline_and_not_before(given: Evidence, seconds: int) -> None:
    at = START + seconds * SECOND
    assert deadline(given, DEFAULT_LIMITS) == at
    assert judge(given, at - 1) is None
    verdict = judge(given, at)
    assert verdict is not None
    assert (verdict.kind, verdict.at) == ("timed_out", at)


@pytest.mark.parametrize(
    ("news", "limits", "why"),
    [
        (0, DEFAULT_LIMITS, "no news for 300 s"),
        (3_500, DEFAULT_LIMITS, "it had no result 3600 s after its start"),
        (0, Limits(2.5, 60), "no news for 2.5 s"),
    ],
)
def test_a_timeout_says_which_limit_it_was(news: int, limits: Limits, why: str) -> None:
    verdict = judge(evidence(session=STUB, news_at=START + news * SECOND), START + 4_000 * SECOND, limits)
    assert verdict is not None
    assert verdict.reason == why


def test_a_timeout_says_that_its_file_could_not_be_read() -> None:
    verdict = judge(evidence(session=UNREADABLE), START + 4_000 * SECOND)
    assert verdict is not None
    assert verdict.reason == f"no news for 300 s; its session file cannot be read: {UNREADABLE}"


def test_a_runner_that_lives_is_not_said_to_have_been_silent() -> None:
    verdict = judge(evidence(session=STUB, lock="held"), START + 4_000 * SECOND)
    assert verdict is not None
    assert verdict.reason == "it had no result 3600 s after its start"


def test_a_run_that_never_began_is_not_said_to_have_been_silent_for_a_shorter_time_than_it_waited() -> None:
    verdict = judge(evidence(decisions=(decided("queued", START),)), START + 3_600 * SECOND)
    assert verdict is not None
    assert verdict.reason == "it had not begun 3600 s after it was queued"


@pytest.mark.parametrize("lock", ["held", "unknown"])
def test_only_a_lock_that_was_let_go_tells_of_a_dead_runner(lock: Lock) -> None:
    assert judge(evidence(session=STUB, lock=lock), NOW) is None
    verdict = judge(evidence(session=STUB, lock="free"), NOW)
    assert verdict is not None
    assert verdict.kind == "lost"
    assert "ended without a result" in verdict.reason


@pytest.mark.parametrize(
    "given",
    [
        evidence(session=SUCCESS),
        evidence(session=CLOSED),
        *(evidence(session=STUB, decisions=(decided(kind),)) for kind in ("stopped", "timed_out", "lost")),
        evidence(previous=COMPLETED, kept=True),
    ],
)
def test_what_has_ended_is_not_judged(given: Evidence) -> None:
    assert judge(given._replace(lock="free"), START + 9_999 * SECOND) is None


@pytest.mark.parametrize(
    ("told", "seen", "started"),
    [(7, None, 7), (None, 7.25, 7.25), (7, 7.25, 7.25), (7, 8.0, 7), (7, 6.9, 7), (7.5, 7.75, 7.5)],
)
def test_the_session_files_time_counts_and_telemetry_sharpens_it(
    told: float | None, seen: float | None, started: float
) -> None:
    first_at = None if seen is None else int(seen * SECOND)
    given = evidence(session=parsed(start_time=told, end_time=None, final_result=None), trace=trace(first_at=first_at))
    assert derive(given, NOW).started_at == rfc3339(int(started * SECOND))


def test_it_was_created_when_it_was_queued_or_began_or_else_when_it_was_seen() -> None:
    queued = (decided("queued", START - SECOND),)
    assert derive(evidence(session=STUB, decisions=queued), NOW).created_at == rfc3339(START - SECOND)
    assert derive(evidence(session=STUB, began_at=NOW), NOW).created_at == rfc3339(START)
    assert derive(evidence(session=UNREADABLE, began_at=NOW), NOW).created_at == rfc3339(NOW)
    assert derive(evidence(previous=RUNNING, began_at=NOW), NOW).created_at == RUNNING.created_at


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (evidence(session=STUB, decisions=DECIDED), ("001-sol-transfer", "deterministic")),
        (evidence(session=UNREADABLE, decisions=DECIDED, previous=RUNNING), ("queued-case", "queued-agent")),
        (evidence(session=parsed(benchmark_id=None, agent_type="unknown"), previous=RUNNING), RUNNING[1:3]),
        (evidence(trace=trace()), ("unknown", "unknown")),
    ],
)
def test_names_come_from_the_best_that_has_them(given: Evidence, names: tuple[str, str]) -> None:
    row = derive(given, NOW)
    assert (row.benchmark_id, row.agent) == names


def test_the_mode_of_a_runner_that_reevd_started_is_told_where_its_file_does_not_tell_it() -> None:
    launched = (decided("queued"), decided("started")._replace(reason="checkout"))
    dead = derive(evidence(decisions=(*launched, decided("lost"))), NOW)
    assert (dead.status, dead.metadata) == ("Failed", '{"mode":"checkout"}')
    for found in (parsed(metadata=None), "it is no JSON"):
        assert derive(evidence(session=found, decisions=launched), NOW).metadata == '{"mode":"checkout"}'
    told = evidence(session=parsed(metadata={"mode": "installed", "chain": "litesvm"}), decisions=launched)
    assert derive(told, NOW).metadata == '{"mode":"installed","chain":"litesvm"}'
    assert derive(evidence(decisions=(decided("queued"),)), NOW).metadata is None


@pytest.mark.parametrize(("steps", "progress"), [(0, 0.0), (1, 0.25), (4, 0.99), (9, 0.99)])
def test_progress_is_complete_only_at_the_end(steps: int, progress: float) -> None:
    promised = STUB._replace(steps_total=4)
    assert derive(evidence(session=promised, trace=trace(steps=steps)), NOW).progress == progress
    assert derive(evidence(session=CLOSED, trace=trace(steps=steps)), NOW).progress == 1.0


def test_odd_evidence_is_told_of() -> None:
    other = parsed(session_id="y")
    odd = trace(bad_lines=2, first_bad="at byte 7: why", named_ids=frozenset("xz"))
    warnings = json.loads(derive(evidence(session=other, trace=odd), NOW).warnings)
    assert [word in text for word, text in zip(("'y'", "at byte 7: why", "'z'"), warnings, strict=True)] == [True] * 3
    assert json.loads(derive(evidence(session=SUCCESS, trace=trace(named_ids=frozenset("x"))), NOW).warnings) == []


@pytest.mark.parametrize(("found", "state"), [(None, "gone"), (UNREADABLE, "changed"), (STUB, "changed")])
def test_an_end_that_is_kept_stays_whatever_became_of_its_file(found: Session | str | None, state: str) -> None:
    row = derive(evidence(session=found, previous=COMPLETED, kept=True, decisions=DECIDED), NOW + SECOND)
    expected: Execution = COMPLETED._replace(source_state=state, session_file=None, updated_at=rfc3339(NOW + SECOND))
    assert row == expected
    again = evidence(session=found, previous=row, kept=True, decisions=DECIDED)
    assert derive(again, NOW + 2 * SECOND) is row, "nothing changed, so nothing is to be stored"


def test_what_was_stopped_says_so_once_whatever_its_runner_left_then() -> None:
    stopped = derive(evidence(session=STUB, previous=RUNNING, decisions=(decided("stopped"),)), NOW)
    left = ended_as(False, score=0, error={"kind": "interrupted", "message": "interrupted by SIGTERM"})
    row = derive(evidence(session=left, previous=stopped, decisions=(decided("stopped"),)), NOW + SECOND)
    assert (row.status, row.reason, row.error_message) == ("Stopped", "because stopped", "because stopped")
    assert [step["status"] for step in json.loads(row.history)] == ["Running", "Stopped"]


def test_times_are_as_sharp_as_anybody_tells_them() -> None:
    queued = (decided("queued", START + SECOND // 2),)
    row = derive(evidence(session=ended_as(True), decisions=queued), NOW)
    assert (row.created_at, row.started_at) == (rfc3339(START + SECOND // 2),) * 2, (
        "nothing begins before it is asked for"
    )
    events = [
        {"timestamp": rfc3339(START + SECOND // 4)},
        {"timestamp": "odd"},
        {"timestamp": rfc3339(START + 3_900_000)},
    ]
    row = derive(evidence(session=parsed(events=events), trace=trace(first_at=START + SECOND // 3)), NOW)
    assert (row.started_at, row.ended_at) == (rfc3339(START + SECOND // 4), rfc3339(START + 3_900_000))
    for odd in ({}, "x", [7], [{"timestamp": 7}], [{"timestamp": rfc3339(START - 1)}]):
        assert derive(evidence(session=parsed(events=odd)), NOW).started_at == rfc3339(START)


def test_history_grows_by_what_changed_and_by_nothing_else() -> None:
    row = derive(evidence(session=STUB, previous=RUNNING), NOW + SECOND)
    assert row.history == RUNNING.history
    for final, count in ((SUCCESS, 2), (SUCCESS, 2), (ended_as(True, score=0.5), 3), (ended_as(False, score=0.5), 4)):
        row = derive(evidence(session=final, previous=row), NOW + SECOND)
        assert len(json.loads(row.history)) == count
