"""get_jupiter_lend_earn_position: what a wallet has lent, and what it has earned. It proposes no instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from runner import jupiter
from runner.tools import Answer, Bench, Tool, ToolError
from runner.tools.parameters import Key


@dataclass(frozen=True, slots=True)
class Parameters:
    user_pubkey: Annotated[Key, "The wallet."]
    position_type: Annotated[Literal["positions", "earnings", "both"], "What is asked for."] = "both"


def call(asked: Parameters, bench: Bench) -> Answer:
    """Answers {positions, earnings}, each as Jupiter gives it, and only what was asked for."""
    del bench
    held = _positions(asked.user_pubkey)
    found: dict[str, Any] = {}
    if asked.position_type in ("positions", "both"):
        found["positions"] = held
    if asked.position_type in ("earnings", "both"):
        names = ",".join(name for name in map(_share, held) if name)
        found["earnings"] = jupiter.get("/lend/v1/earn/earnings", user=asked.user_pubkey, positions=names)
    return Answer(found)


def _positions(user: str) -> list[Any]:
    found = jupiter.get("/lend/v1/earn/positions", users=user)
    if not isinstance(found, list):
        raise ToolError(f"Jupiter answered without a list of positions: {str(found)[:300]}")
    return found


def _share(position: Any) -> str | None:
    """The mint of a position's shares, by which earnings are asked for."""
    token = position.get("token") if isinstance(position, dict) else None
    name = token.get("address") if isinstance(token, dict) else None
    return name if isinstance(name, str) else None


TOOL = Tool(
    "get_jupiter_lend_earn_position",
    "Read what a wallet has lent with Jupiter Lend, and what it has earned.",
    Parameters,
    call,
)
