"""get_jupiter_lend_earn_position: what a wallet has lent, and what it has earned. It proposes no instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from runner import jupiter
from runner.tools import Answer, Bench, Tool
from runner.tools.parameters import Key


@dataclass(frozen=True, slots=True)
class Parameters:
    user_pubkey: Annotated[Key, "The wallet."]
    position_type: Annotated[Literal["positions", "earnings", "both"], "What is asked for."] = "both"


def call(asked: Parameters, bench: Bench) -> Answer:
    """Answers {positions, earnings}, each as Jupiter gives it, and only what was asked for."""
    del bench
    found = {}
    if asked.position_type in ("positions", "both"):
        found["positions"] = jupiter.get("/lend/v1/earn/positions", users=asked.user_pubkey)
    if asked.position_type in ("earnings", "both"):
        held = found.get("positions") or jupiter.get("/lend/v1/earn/positions", users=asked.user_pubkey)
        names = [p["token"]["address"] for p in held if isinstance(p, dict) and "address" in (p.get("token") or {})]
        query = {"user": asked.user_pubkey, "positions": ",".join(names)}
        found["earnings"] = jupiter.get("/lend/v1/earn/earnings", **query)
    return Answer(found)


TOOL = Tool(
    "get_jupiter_lend_earn_position",
    "Read what a wallet has lent with Jupiter Lend, and what it has earned.",
    Parameters,
    call,
)
