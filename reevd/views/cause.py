"""Why a step failed, in a person's words: who refused what, and what its error number means. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reevd.views.accounts import Accounts
from reevd.views.calls import Call, calls, failed
from reevd.views.instruction import Instruction
from reevd.views.meaning import Meaning, meaning
from reevd.views.programs import error_meaning, title
from reevd.views.steps import Step
from reevd.views.text import line

# `Error processing Instruction 0: custom program error: 0x1` of the client, `InstructionError(0, Custom(1))` of the VM,
# {"InstructionError":[0,{"Custom":1}]} of the RPC.
_INDEX = re.compile(r"(?:Instruction |InstructionError\W{1,4})(\d{1,3})\b")
_NUMBER = re.compile(r"custom program error: (0x[0-9a-fA-F]{1,8})\b|\bCustom\W{1,4}(\d{1,10})\b")

GIVERS = ("source", "from", "funder", "payer")


def cause(step: Step) -> list[str]:
    """Sentences, the most telling first; empty where the step did not fail or its error says all that is known."""
    return list(_sentences(step))


def refused_instruction(step: Step) -> int | None:
    """The index of the instruction that the step's error names."""
    found = _INDEX.search(_error(step))
    return int(found[1]) if found else None


def _error(step: Step) -> str:
    """At its full length: the numbers may stand at its end."""
    return step.error if isinstance(step.error, str) else line(step.error) if step.error else ""


def _sentences(step: Step) -> Iterator[str]:
    error = _error(step)
    refused = failed(calls(step.logs))
    if not error and refused is None:
        return
    index = refused_instruction(step)
    instruction = step.instructions[index] if index is not None and index < len(step.instructions) else None
    program = refused.program if refused else instruction.program if instruction else ""
    number = _number(refused.error or "") if refused else None
    number = _number(error) if number is None else number
    said = _said(refused)
    known = error_meaning(program, number) if number is not None else None
    if program and (said or known or number is not None):
        words = known or said or "it does not say what that means"
        yield f"{line(title(program))}: {words}{'' if number is None else f' (its error {number})'}"
    if instruction and (does := meaning(instruction, step.accounts)):
        yield f"in instruction {index}: {line(title(instruction.program))} {does.text}"
        yield from _holdings(does, instruction, step.accounts)
    elif index is not None and instruction is None and step.instructions:
        yield f"in instruction {index}, which the action does not have"


def _holdings(does: Meaning, instruction: Instruction, accounts: Accounts) -> Iterator[str]:
    """What the account that should give has: a transaction that failed moved nothing but its fee."""
    for role, account in zip(does.roles, instruction.accounts, strict=False):
        state = accounts.state(account.address) if role in GIVERS else None
        if state is not None:
            yield f"{accounts.name(account.address)} holds {accounts.holdings(state)[0]}"


def _said(refused: Call | None) -> str:
    """The last thing that the program logged before it failed."""
    lines = [part for part in refused.parts if isinstance(part, str)] if refused else []
    told = [text for text in lines if not text.startswith(("Program data:", "Program return:", "Instruction: "))]
    return line(told[-1].removeprefix("Error: "), 300) if told else ""


def _number(error: str) -> int | None:
    found = _NUMBER.search(error)
    return None if found is None else int(found[1], 16) if found[1] else int(found[2])
