"""jupiter_swap: one token for another, by the route that Jupiter finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from runner import jupiter
from runner.tools import Answer, Bench, Tool, ToolError
from runner.tools.parameters import Amount, Key

HALF_A_PERCENT = Amount(50)


@dataclass(frozen=True, slots=True)
class Parameters:
    user_pubkey: Annotated[Key, "The wallet that swaps."]
    input_mint: Annotated[Key, "The mint that is given; So11111111111111111111111111111111111111112 for SOL."]
    output_mint: Annotated[Key, "The mint that is wanted."]
    amount: Annotated[Amount, "Of the input, in its smallest unit."]
    slippage_bps: Annotated[Amount, "How much worse than quoted, in hundredths of a percent."] = HALF_A_PERCENT


def call(asked: Parameters, bench: Bench) -> Answer:
    """Asks for a quote, then for the instructions of that very quote."""
    del bench  # the keys are addresses by now
    quote = jupiter.get(
        "/swap/v1/quote",
        inputMint=asked.input_mint,
        outputMint=asked.output_mint,
        amount=str(asked.amount),
        slippageBps=str(asked.slippage_bps),
    )
    if not isinstance(quote, dict):
        raise ToolError(f"Jupiter answered without a quote: {str(quote)[:300]}")
    body = {"userPublicKey": asked.user_pubkey, "quoteResponse": quote, "wrapAndUnwrapSol": True}
    return Answer.of(*jupiter.swap(jupiter.post("/swap/v1/swap-instructions", body)))


TOOL = Tool("jupiter_swap", "Swap one token for another with Jupiter, at the best route.", Parameters, call)
