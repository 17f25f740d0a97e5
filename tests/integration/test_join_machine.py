"""The join of the evidence, under any order of it: hypothesis against a model of a few lines."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reevd.derive import DEFAULT_LIMITS, Evidence, Lock, Trace, deadline, derive, judge
from reevd.model import Decision, DecisionKind, Execution, Status
from reevd.session_file import Session, parse_session
from reevd.times import SECOND, rfc3339
from tests.harness import session

START = 1_790_000_000 * SECOND
STUB = parse_session(json.dumps(session("x", end_time=None, final_result=None)).encode())
CLOSED = parse_session(json.dumps(session("x", final_result=None)).encode())
TRACE = Trace(0, None, None, frozenset(), 0, "")
ENDED = {"stopped": Status.STOPPED, "timed_out": Status.TIMEOUT, "lost": Status.FAILED}


def result(*, success: bool, score: float) -> Session:
    return parse_session(json.dumps(session("x", final_result={"success": success, "score": score})).encode())


def naive(evidence: Evidence) -> tuple[Status, float | None]:
    """result > closed without one > stopped > timed out > lost > running > queued."""
    found = evidence.session
    if isinstance(found, Session) and found.result:
        return Status.COMPLETED if found.result.success else Status.FAILED, found.result.score
    if isinstance(found, Session) and found.ended:
        return Status.FAILED, None
    kinds = {decision.kind for decision in evidence.decisions}
    for kind in ("stopped", "timed_out", "lost"):
        if kind in kinds:
            return ENDED[kind], None
    ran = evidence.previous is not None and evidence.previous.status == Status.RUNNING
    return (Status.RUNNING if evidence.session is not None or evidence.trace or ran else Status.QUEUED), None


class Join(RuleBasedStateMachine):
    """One run: its evidence grows in any order, time goes on, verdicts fall when they are due."""

    @initialize(queued=st.booleans())
    def begin(self, *, queued: bool) -> None:
        self.now = START
        self.row: Execution | None = None
        self.lock: Lock = "unknown"
        self.session: Session | str | None = None
        self.trace: Trace | None = None
        self.news_at = START
        self.decisions: tuple[Decision, ...] = ()
        if queued:
            self._decide("queued")
        else:
            self.session = STUB
        self._look()

    def _decide(self, kind: DecisionKind) -> None:
        if kind not in {decision.kind for decision in self.decisions}:
            self.decisions = (*self.decisions, Decision("x", kind, self.now, kind, "case", "agent"))

    def _evidence(self) -> Evidence:
        return Evidence(
            execution_id="x",
            session=self.session,
            trace=self.trace,
            session_file="session_x.json" if self.session is not None else None,
            otel_file="enhanced_otel_x.jsonl" if self.trace else None,
            began_at=START,
            news_at=self.news_at,
            decisions=self.decisions,
            lock=self.lock,
            previous=self.row,
        )

    def _look(self) -> None:
        """As the engine looks: a verdict where one is due, then the row."""
        verdict = judge(self._evidence(), self.now)
        if verdict is not None:
            self.decisions = (*self.decisions, verdict)
        self.evidence = self._evidence()
        before, self.row = self.row, derive(self.evidence, self.now)
        if before is not None and Status(before.status).terminal and self.session is not None:
            assert Status(self.row.status).terminal, f"{before.status} went back to {self.row.status}"

    def _news(self) -> None:
        self.news_at = self.now
        self._look()

    @rule()
    def telemetry(self) -> None:
        self.trace = TRACE
        self._news()

    @precondition(lambda self: not isinstance(self.session, Session) or not self.session.ended)
    @rule(found=st.sampled_from([STUB, CLOSED]))
    def session_without_result(self, found: Session) -> None:
        self.session = found
        self._news()

    @rule(success=st.booleans(), score=st.sampled_from([0.0, 0.5, 0.75, 1.0]))
    def session_with_result(self, *, success: bool, score: float) -> None:
        self.session = result(success=success, score=score)
        self._news()

    @precondition(lambda self: not isinstance(self.session, Session) or not self.session.ended)
    @rule()
    def garbled(self) -> None:
        self.session = "it is no JSON"
        self._news()

    @rule(kind=st.sampled_from(["stopped", "timed_out", "lost"]))
    def decided(self, kind: DecisionKind) -> None:
        self._decide(kind)
        self._look()

    @rule(lock=st.sampled_from(["held", "free", "unknown"]))
    def liveness(self, lock: Lock) -> None:
        self.lock = lock
        self._look()

    @rule(seconds=st.sampled_from([1, 60, 299, 301, 4_000]))
    def time_goes_on(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self._look()

    @invariant()
    def the_state_is_the_models(self) -> None:
        assert self.row is not None
        assert (self.row.status, self.row.score) == naive(self.evidence)

    @invariant()
    def what_has_not_ended_has_a_deadline_and_nothing_else_has(self) -> None:
        assert self.row is not None
        ended = Status(self.row.status).terminal
        assert (self.row.deadline_at is None) == ended
        if not ended:
            assert self.row.deadline_at == rfc3339(deadline(self.evidence, DEFAULT_LIMITS))
            assert rfc3339(self.now) < self.row.deadline_at, "it is overdue, and no verdict fell"

    @invariant()
    def history_ends_with_the_state(self) -> None:
        assert self.row is not None
        history = json.loads(self.row.history)
        assert history[-1]["status"] == self.row.status
        assert all(step["reason"] for step in history)
        assert [step["at"] for step in history] == sorted(step["at"] for step in history)

    @invariant()
    def deriving_again_changes_nothing(self) -> None:
        assert self.row is not None
        again = derive(self.evidence._replace(previous=self.row), self.now + SECOND)
        assert again._replace(updated_at=self.row.updated_at) == self.row

    @invariant()
    def the_order_of_decisions_does_not_matter(self) -> None:
        backwards = derive(self.evidence._replace(decisions=self.decisions[::-1]), self.now)
        assert self.row is not None
        assert (backwards.status, backwards.score, backwards.reason) == (
            self.row.status, self.row.score, self.row.reason,
        )  # fmt: skip


Join.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestJoin = Join.TestCase
