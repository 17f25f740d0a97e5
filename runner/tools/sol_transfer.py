"""sol_transfer: lamports from one wallet to another, by the system program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from runner.instruction import SYSTEM_PROGRAM, AccountMeta, Instruction
from runner.tools import Answer, Bench, Tool
from runner.tools.parameters import Amount, Key

TRANSFER = 2


@dataclass(frozen=True, slots=True)
class Parameters:
    """`amount` is in lamports. `mint_address` is there for the sake of one shape with spl_transfer; SOL has none."""

    user_pubkey: Annotated[Key, "The wallet that sends."]
    recipient_pubkey: Annotated[Key, "The wallet that receives."]
    amount: Annotated[Amount, "In lamports: 1 SOL is 1000000000."]
    mint_address: None = None
    operation: Literal["sol"] = "sol"


def call(asked: Parameters, bench: Bench) -> Answer:
    del bench  # the instruction follows from the arguments alone
    data = TRANSFER.to_bytes(4, "little") + asked.amount.to_bytes(8, "little")
    accounts = (AccountMeta(asked.user_pubkey, True, True), AccountMeta(asked.recipient_pubkey, False, True))
    return Answer.of(Instruction(SYSTEM_PROGRAM, accounts, data))


TOOL = Tool(
    "sol_transfer", "Send SOL from the user's wallet to a recipient. The amount is in lamports.", Parameters, call
)
