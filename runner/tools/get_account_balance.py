"""get_account_balance: what the chain holds for a wallet or a token account. It proposes no instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from runner.keys import associated
from runner.token_program import read_account
from runner.tools import Answer, Bench, Tool, ToolError
from runner.tools.parameters import Key


@dataclass(frozen=True, slots=True)
class Parameters:
    """`pubkey` is a wallet, or a token account where `account_type` is `token` and no mint is given."""

    pubkey: Annotated[Key, "A wallet, or a token account."]
    token_mint: Annotated[Key | None, "The mint of the tokens that are asked for."] = None
    account_type: Literal["wallet", "token"] | None = None


def call(asked: Parameters, bench: Bench) -> Answer:
    """Answers {pubkey, lamports} for a wallet; {pubkey, lamports, mint, owner, amount (text)} for a token account."""
    address = associated(asked.pubkey, asked.token_mint) if asked.token_mint else asked.pubkey
    account = bench.chain.account(address)
    answer = {"pubkey": address, "lamports": account.lamports if account else 0}
    token = read_account(account.data) if account else None
    if token:
        answer |= {"mint": token.mint, "owner": token.owner, "amount": str(token.amount)}
    elif asked.token_mint or asked.account_type == "token":
        raise ToolError(f"the chain holds no token account at {address}")
    return Answer(answer)


TOOL = Tool(
    "get_account_balance",
    "Read the lamports of a wallet, or with token_mint the tokens that it holds of that mint.",
    Parameters,
    call,
)
