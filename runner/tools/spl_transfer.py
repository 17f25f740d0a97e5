"""spl_transfer: tokens from one wallet's associated token account to another's, by the token program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from runner.instruction import TOKEN_PROGRAM, AccountMeta, Instruction
from runner.keys import associated
from runner.tools import Answer, Bench, Tool
from runner.tools.parameters import Amount, Key

TRANSFER = 3


@dataclass(frozen=True, slots=True)
class Parameters:
    """The keys are wallets; the token accounts follow from them. `amount` counts the mint's smallest unit."""

    user_pubkey: Annotated[Key, "The wallet that sends, not its token account."]
    recipient_pubkey: Annotated[Key, "The wallet that receives, not its token account."]
    amount: Annotated[Amount, "In the mint's smallest unit: 1 USDC is 1000000."]
    mint_address: Annotated[Key, "The mint of the tokens."]
    operation: Literal["spl"] = "spl"


def call(asked: Parameters, bench: Bench) -> Answer:
    del bench  # the instruction follows from the arguments alone
    source = associated(asked.user_pubkey, asked.mint_address)
    destination = associated(asked.recipient_pubkey, asked.mint_address)
    accounts = (
        AccountMeta(source, False, True),
        AccountMeta(destination, False, True),
        AccountMeta(asked.user_pubkey, True, False),
    )
    return Answer.of(Instruction(TOKEN_PROGRAM, accounts, bytes([TRANSFER]) + asked.amount.to_bytes(8, "little")))


TOOL = Tool(
    "spl_transfer",
    "Send tokens of a mint from the user's wallet to a recipient. The amount counts the mint's smallest unit.",
    Parameters,
    call,
)
