"""The run itself: prepare the chain, let the agent act through its tools, execute what it proposes, judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.agents import Agent
from runner.case import Case, FlowStep
from runner.chain import Chain, Transaction
from runner.keys import Keys, fresh
from runner.record import Failure, Outcome, Record
from runner.score import Score, score, verify
from runner.state import balances, lamports, prepare
from runner.step import Scene, Taken, skip, take
from runner.stop import Stop
from runner.toolbox import RecordedTools, prompt
from runner.tools import Bench, Tools
from runner.tracing import AGENT_NAME, PROMPT, Tracing


def play(
    record: Record,
    tracing: Tracing,
    open_chain: Callable[[], Chain],
    make_agent: Callable[[], Agent],
    stop: Stop,
) -> Outcome:
    """Raises ChainError and AgentError as the two do, and StoppedError where `stop` ends the run."""
    case = record.order.case
    about: dict[str, str | int | float] = {PROMPT: prompt(case.prompt), AGENT_NAME: record.order.agent}
    with tracing.span("execution", case.id, {**about, "reev.benchmark_id": case.id}) as measured:
        chain, agent, keys = open_chain(), make_agent(), fresh(case)
        prepare(chain, case, keys)
        before = lamports(chain, keys, keys.key_map)
        tools = RecordedTools(Tools(), Bench(chain, keys), record, tracing, stop)
        taken = _flow(Scene(chain, agent, keys, tools, record, tracing, stop))
        failure = None if _succeeded(case, taken, record) else _failure(case, taken)
        last = next((step.sent for step in reversed(taken) if step.sent is not None), None)
        judged = _score(case, taken, keys, last, failure)
        failure = failure or _unwanted(case, last, judged)
        measured.error = failure.message if failure else None
    verdicts = tuple(
        verify(each, balances(chain, keys, each.pubkey, before[each.pubkey])) for each in case.ground_truth.assertions
    )
    return Outcome(failure is None, judged, verdicts, failure)


def _score(case: Case, taken: list[Taken], keys: Keys, last: Transaction | None, failure: Failure | None) -> Score:
    # Where no transaction is to be sent, none that was sent is what success on the chain means.
    none_wanted = case.ground_truth.transaction_status == "None"
    onchain = last is None and failure is None if none_wanted else bool(last and last.succeeded)
    done = [each for step in taken for each in step.instructions]
    return score(case.ground_truth, done, succeeded=onchain, address=keys.address)


def _unwanted(case: Case, last: Transaction | None, judged: Score) -> Failure | None:
    """What the case wants otherwise of a run that came to its end well."""
    truth = case.ground_truth
    if truth.transaction_status == "Failure" and last is not None and last.succeeded:
        return Failure("transaction", "its transaction succeeded, and the case wants one that fails")
    if truth.min_score is not None and judged.value < truth.min_score:
        return Failure("agent", f"its score is {judged.value:.4g}, and the case wants {truth.min_score:g} at least")
    return None


def _flow(scene: Scene) -> list[Taken]:
    """All steps in order. A critical one that fails ends the flow; who depends on a failed one is not taken."""
    taken: list[Taken] = []
    news: list[str] = []
    failed: dict[int, str] = {}
    ended = ""
    for step in scene.case.prompts:
        needed = next((number for number in step.depends_on if number in failed), None)
        why_not = ended or (f"it depends on step {needed}, which {failed[needed]}" if needed is not None else "")
        found = skip(scene, step, why_not) if why_not else take(scene, step, " ".join(news))
        news = [*news, _became(step, found)] if why_not else [_became(step, found)]
        taken.append(found)
        if not found.succeeded:
            failed[step.step] = "was not taken" if why_not else "failed"
            if step.critical and not why_not:
                ended = f"step {step.step} is critical, and failed"
    return taken


def _became(step: FlowStep, found: Taken) -> str:
    """A step's end, as the agent is told before the next one."""
    if not found.succeeded:
        return f"Step {step.step} failed: {found.why}."
    return f"Step {step.step} is done" + (": its transaction succeeded." if found.sent else ".")


def _succeeded(case: Case, taken: list[Taken], record: Record) -> bool:
    """By the case's criteria where it has some, else: each critical step has come to what it should."""
    if case.ground_truth.success_criteria:
        called = {call["tool_name"] for call in record.tools if call["status"] == "success"}
        counted = sum(step.succeeded for step in taken)
        return all(
            counted >= each.required if each.required is not None else each.tool_name in called
            for each in case.ground_truth.success_criteria
        )
    return all(found.succeeded for step, found in _pairs(case, taken) if step.critical)


def _pairs(case: Case, taken: list[Taken]) -> list[tuple[FlowStep, Taken]]:
    return list(zip(case.prompts, taken, strict=True))


def _failure(case: Case, taken: list[Taken]) -> Failure:
    """Of the step that decided it: the first critical one that failed, else the first that did."""
    pairs: list[tuple[FlowStep, Taken]] = [(s, t) for s, t in _pairs(case, taken) if not t.succeeded]
    if not pairs:
        return Failure("agent", "the case's success criteria are not met")
    step, found = next(((s, t) for s, t in pairs if s.critical), pairs[0])
    where: Any = f"step {step.step}: " if case.flow else ""
    return Failure(found.kind, f"{where}{found.why}")
