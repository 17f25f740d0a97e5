"""What the four tools of Jupiter Lend share: the parameters, and the question for the instructions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from runner import jupiter
from runner.tools import Answer, Bench
from runner.tools.parameters import Amount, Key


@dataclass(frozen=True, slots=True)
class ByAmount:
    user_pubkey: Annotated[Key, "The wallet whose tokens these are."]
    asset: Annotated[Key, "The mint of the asset."]
    amount: Annotated[Amount, "In the asset's smallest unit."]


@dataclass(frozen=True, slots=True)
class ByShares:
    user_pubkey: Annotated[Key, "The wallet whose shares these are."]
    asset: Annotated[Key, "The mint of the asset that the vault holds."]
    shares: Annotated[Amount, "How many, in their smallest unit."]


def amount(operation: str) -> Callable[[ByAmount, Bench], Answer]:
    def call(asked: ByAmount, bench: Bench) -> Answer:
        del bench
        return _ask(operation, asked.user_pubkey, asked.asset, "amount", asked.amount)

    return call


def shares(operation: str) -> Callable[[ByShares, Bench], Answer]:
    def call(asked: ByShares, bench: Bench) -> Answer:
        del bench
        return _ask(operation, asked.user_pubkey, asked.asset, "shares", asked.shares)

    return call


def _ask(operation: str, signer: str, asset: str, what: str, value: int) -> Answer:
    body = {"asset": asset, "signer": signer, what: str(value)}
    return Answer.of(*jupiter.instructions(jupiter.post(f"/lend/v1/earn/{operation}-instructions", body)))
