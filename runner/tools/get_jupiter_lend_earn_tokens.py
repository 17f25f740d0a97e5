"""get_jupiter_lend_earn_tokens: what can be lent with Jupiter Lend. It proposes no instruction."""

from __future__ import annotations

from dataclasses import dataclass

from runner import jupiter
from runner.tools import Answer, Bench, Tool, ToolError


@dataclass(frozen=True, slots=True)
class Parameters:
    """It takes nothing."""


def call(asked: Parameters, bench: Bench) -> Answer:
    del asked, bench
    found = jupiter.get("/lend/v1/earn/tokens")
    if not isinstance(found, list):
        raise ToolError(f"Jupiter answered without a list of tokens: {str(found)[:300]}")
    return Answer(found)


TOOL = Tool("get_jupiter_lend_earn_tokens", "List the tokens of Jupiter Lend, with their rates.", Parameters, call)
