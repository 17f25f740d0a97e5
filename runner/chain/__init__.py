"""The chain, behind one small interface: accounts are put and read, transactions are executed.

Nothing else of the runner knows which chain it is. What a chain answers is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.instruction import Instruction
from runner.keys import Keys


@dataclass(frozen=True, slots=True)
class Account:
    """An account's state. `owner` is the address of the program that owns it."""

    lamports: int
    owner: str
    executable: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that was sent. `error` is the chain's own, in a readable form; None where it succeeded.

    `signature` is empty where it could not even be signed; `compute_units` and `fee` are the chain's figures.
    """

    error: str | None
    logs: tuple[str, ...]
    signature: str
    compute_units: int
    fee: int

    @property
    def succeeded(self) -> bool:
        return self.error is None


class Chain(Protocol):
    """Each method raises ChainError where the chain cannot be reached or used."""

    @property
    def name(self) -> str:
        """One word for the session's metadata."""

    def put(self, address: str, account: Account) -> None:
        """Makes the account stand as given: how a case's initial state comes about."""

    def account(self, address: str) -> Account | None:
        """The account as it stands; None where the chain holds none."""

    def execute(self, instructions: Sequence[Instruction], keys: Keys) -> Transaction:
        """Signs the instructions as one transaction, sends it and waits for its outcome."""
