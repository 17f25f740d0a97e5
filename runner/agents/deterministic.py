"""The deterministic agent: plays the ground truth through the tools, as an agent that knows the answer would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.agents import Move, Task, Toolbox
from runner.case import Case, ExpectedInstruction, Name
from runner.errors import AgentError
from runner.instruction import SYSTEM_PROGRAM, TOKEN_PROGRAM, Instruction

# The data begins with the operation: four bytes for the system program, one for the token program. After it come
# eight bytes of amount. For the token program the shape also says how long the data is and how many accounts it takes.
SYSTEM_TRANSFER = bytes([2, 0, 0, 0])
TOKEN_TRANSFER = (b"\x03", 9, 3)
TOKEN_TRANSFER_CHECKED = (b"\x0c", 10, 4)


class Deterministic:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        """Raises AgentError where the ground truth holds no instruction, or one that no tool makes."""
        calls = self._calls(case, task.step)
        if not calls:
            raise _unplayable(case, "its ground truth tells neither an instruction nor a call for this prompt")
        instructions: list[Instruction] = []
        for name, arguments in calls:
            called = tools.call(name, arguments)
            if called.error is not None:
                raise _unplayable(case, f"{name} refused: {called.error}", "mend what ground_truth has it called with")
            instructions += called.instructions
        return Move(tuple(instructions))

    def _calls(self, case: Case, step: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Of a step: as the ground truth tells them, else what its instructions come to."""
        told = [(call.tool_name, call.params) for call in case.ground_truth.tool_calls if call.step == step]
        if told:
            return told
        expected = [(i, each) for i, each in enumerate(case.ground_truth.instructions) if each.step == step]
        return [self._call_for(case, index, each) for index, each in expected]

    def _call_for(self, case: Case, index: int, expected: ExpectedInstruction) -> tuple[str, dict[str, Any]]:
        """The tool and the arguments that come to what the instruction does."""
        data, names = expected.data or b"", [account.pubkey for account in expected.accounts]
        if expected.program_id == SYSTEM_PROGRAM and data[:4] == SYSTEM_TRANSFER:
            if (len(data), len(names)) == (12, 2):
                return "sol_transfer", _transfer("sol", names[0], names[1], data[4:12], None)
        elif expected.program_id == TOKEN_PROGRAM:
            derivations, shape = case.derivations(), (data[:1], len(data), len(names))
            # The checked form names the mint between the two accounts.
            ends = {TOKEN_TRANSFER: (0, 1), TOKEN_TRANSFER_CHECKED: (0, 2)}.get(shape)
            if ends and names[ends[0]] in derivations and names[ends[1]] in derivations:
                source, destination = derivations[names[ends[0]]], derivations[names[ends[1]]]
                return "spl_transfer", _transfer("spl", source.owner, destination.owner, data[1:9], source.mint)
        raise _unplayable(case, f"no tool makes instruction {index} of program {expected.program_id}")


def _transfer(operation: str, user: Name, recipient: Name, amount: bytes, mint: Name | None) -> dict[str, Any]:
    return {
        "user_pubkey": user,
        "recipient_pubkey": recipient,
        "amount": int.from_bytes(amount, "little"),
        "mint_address": mint,
        "operation": operation,
    }


def _unplayable(case: Case, why: str, hint: str = "give the data of each instruction, or tool_calls") -> AgentError:
    return AgentError("playing the ground truth of", case.id, why, f"choose another --agent, or {hint}")
