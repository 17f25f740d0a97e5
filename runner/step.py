"""One step of a run: the agent acts on one prompt, what it proposes is executed as one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runner.agents import Agent, Move, Task
from runner.case import Case, FlowStep
from runner.chain import Chain, Transaction
from runner.errors import Kind, RunnerError, StoppedError
from runner.instruction import Instruction
from runner.keys import Keys
from runner.record import Record, total
from runner.state import observe, unobserved
from runner.stop import StepTimeoutError, Stop
from runner.toolbox import RecordedTools, prompt
from runner.tracing import COST, INPUT_TOKENS, OUTPUT_TOKENS, PROMPT, STEP_STATUS, Measured, Tracing

IDLE = "the agent proposed no instruction"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a step needs."""

    chain: Chain
    agent: Agent
    keys: Keys
    tools: RecordedTools
    record: Record
    tracing: Tracing
    stop: Stop

    @property
    def case(self) -> Case:
        return self.record.order.case


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a step. `sent` is None where nothing was; `why` and `kind` tell of a failure."""

    succeeded: bool
    instructions: tuple[Instruction, ...] = ()
    sent: Transaction | None = None
    why: str = ""
    kind: Kind = "agent"


def take(scene: Scene, step: FlowStep, before: str) -> Taken:
    """`before`: what became of the steps before, as the agent is told.

    Raises AgentError, ChainError and StoppedError: they end the run, and no step goes on after them.
    """
    used = len(scene.record.usage)
    about = {PROMPT: prompt(step.prompt)} if scene.case.flow else {}  # a single one is that of the run
    with scene.tracing.span("step", f"step_{step.step or 1}", about) as measured:
        measured.attributes[STEP_STATUS] = "Failed"  # also where the run breaks in it
        try:
            found = _taken(scene, step, before)
        except (RunnerError, StoppedError) as error:
            if scene.case.flow:  # the others of its steps are told of, and so is the one that it broke in
                scene.record.steps.append(_entry(step, Move(()), unobserved(scene.keys, str(error)), "Failed", error))
            raise
        finally:
            _cost(measured, scene.record.usage[used:])
        measured.attributes[STEP_STATUS] = "Succeeded" if found.succeeded else "Failed"
        measured.error, measured.error_type = found.why or None, found.kind if found.why else None
    return found


def _taken(scene: Scene, step: FlowStep, before: str) -> Taken:
    calls = len(scene.record.tools)
    task = Task(step.step, step.prompt or scene.case.prompt, before)
    try:
        with scene.stop.step(step.timeout):
            move = scene.agent.act(scene.case, task, scene.tools)
            with scene.stop.shield():
                sent = _execute(scene, move)
    except StepTimeoutError as error:
        _tell(scene, step, Move(()), None, "Failed", str(error))
        return Taken(False, why=str(error), kind="timeout")
    found = _judge(scene.case, move, sent, scene.record.tools[calls:])
    _tell(scene, step, move, sent, "Succeeded" if found.succeeded else "Failed", found.why)
    return found


def _cost(measured: Measured, usages: list[dict[str, Any]]) -> None:
    if usages:
        spent = total(usages)
        measured.attributes |= {INPUT_TOKENS: spent["input_tokens"], OUTPUT_TOKENS: spent["output_tokens"]}
        if spent["cost_usd"] is not None:
            measured.attributes[COST] = spent["cost_usd"]


def skip(scene: Scene, step: FlowStep, why: str) -> Taken:
    """A step that is not taken: the record says why."""
    _tell(scene, step, Move(()), None, "Skipped", why)
    return Taken(False, why=f"not taken: {why}")


def _judge(case: Case, move: Move, sent: Transaction | None, calls: Sequence[dict[str, Any]]) -> Taken:
    """`calls`: those of this step, as the record has them."""
    if sent is not None:
        return Taken(sent.succeeded, move.instructions, sent, sent.error or "", "transaction")
    refused = next((call for call in reversed(calls) if call["status"] != "success"), None)
    told = f"; the last call that was refused: {refused['tool_name']}: {refused['error_message']}" if refused else ""
    if case.ground_truth.transaction_status == "None":
        called = any(call["status"] == "success" for call in calls)
        return Taken(called, why="" if called else f"the agent called no tool, or none with success{told}")
    return Taken(False, why=IDLE + told)


def _execute(scene: Scene, move: Move) -> Transaction | None:
    """Has the agent's instructions executed as one transaction; None where there are none."""
    if not move.instructions:
        return None
    with scene.stop.exposed():
        sent = scene.chain.execute(move.instructions, scene.keys)
    told: dict[str, Any] = {
        "status": "Success" if sent.succeeded else "Failure",
        "error": sent.error,
        "signature": sent.signature,
        "instructions": len(move.instructions),
        "compute_units": sent.compute_units,
        "fee_lamports": sent.fee,
    }
    scene.record.event("TransactionExecution", 1, told)
    return sent


def _tell(scene: Scene, step: FlowStep, move: Move, sent: Transaction | None, status: str, why: str) -> None:
    none_wanted = scene.case.ground_truth.transaction_status == "None" and status == "Succeeded"
    observation = observe(scene.chain, scene.keys, sent, why or IDLE, none_wanted=none_wanted)
    scene.record.steps.append(_entry(step, move, observation, status, why))


def _entry(step: FlowStep, move: Move, observation: dict[str, Any], status: str, why: object) -> dict[str, Any]:
    """A step as the session file tells it."""
    info = dict(move.info or {})
    if step.step:
        info |= {"step": step.step, "description": step.description, "status": status, "reason": str(why) or None}
    return {
        "thought": move.thought,
        "action": [each.to_json() for each in move.instructions],
        "observation": observation,
        "info": info,
    }
