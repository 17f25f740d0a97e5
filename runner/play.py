"""The run itself: prepare the chain, let the agent act through its tools, execute what it proposes, judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from runner.agents import Agent, Move
from runner.chain import Chain, Transaction
from runner.errors import AgentError
from runner.keys import Keys, fresh
from runner.record import Failure, Outcome, Record
from runner.score import score, verify
from runner.state import balances, lamports, observe, prepare
from runner.stop import Stop
from runner.toolbox import RecordedTools
from runner.tools import NAMES, Bench, load
from runner.tracing import AGENT_NAME, PROMPT, Tracing

IDLE = "the agent proposed no instruction"


def play(
    record: Record,
    tracing: Tracing,
    open_chain: Callable[[], Chain],
    make_agent: Callable[[], Agent],
    stop: Stop,
) -> Outcome:
    """Raises ChainError and AgentError as the two do, and StoppedError where `stop` ends the run."""
    case = record.order.case
    asked = {"tool_name_list": list(NAMES), "user_prompt": case.prompt, "final_prompt": case.prompt}
    about = {PROMPT: orjson.dumps(asked).decode(), AGENT_NAME: record.order.agent, "reev.benchmark_id": case.id}
    with tracing.span("execution", case.id, about):
        if case.flow:
            raise AgentError("executing", case.id, "it is a flow of several steps", "run a case of a single prompt")
        chain, agent, keys = open_chain(), make_agent(), fresh(case)
        prepare(chain, case, keys)
        before = lamports(chain, keys, keys.key_map)
        tools = RecordedTools(load(), Bench(chain, keys), record, tracing, stop)
        with tracing.span("step", "step_1", {}):
            move = agent.act(case, case.prompt, tools)
            if move.info and "usage" in move.info:
                record.usage.append(dict(move.info["usage"]))
            with stop.shield():
                sent = _execute(chain, keys, move, record, stop)
    succeeded = sent is not None and sent.succeeded
    verdicts = tuple(
        verify(each, balances(chain, keys, each.pubkey, before[each.pubkey])) for each in case.ground_truth.assertions
    )
    judged = score(case.ground_truth, move.instructions, succeeded=succeeded, address=keys.address)
    failure = None
    if sent is None:
        failure = Failure("agent", IDLE)
    elif sent.error is not None:
        failure = Failure("transaction", sent.error)
    return Outcome(succeeded, judged, verdicts, failure)


def _execute(chain: Chain, keys: Keys, move: Move, record: Record, stop: Stop) -> Transaction | None:
    """Has the agent's instructions executed as one transaction; None where there are none."""
    with stop.exposed():
        sent = chain.execute(move.instructions, keys) if move.instructions else None
    if sent is not None:
        record.event("TransactionExecution", 1, _told(sent, len(move.instructions)))
    record.steps.append(
        {
            "thought": move.thought,
            "action": [each.to_json() for each in move.instructions],
            "observation": observe(chain, keys, sent, IDLE),
            "info": dict(move.info or {}),
        }
    )
    return sent


def _told(sent: Transaction, instructions: int) -> dict[str, Any]:
    return {
        "status": "Success" if sent.succeeded else "Failure",
        "error": sent.error,
        "signature": sent.signature,
        "instructions": instructions,
        "compute_units": sent.compute_units,
        "fee_lamports": sent.fee,
    }
