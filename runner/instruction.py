"""An instruction to a program of the chain, as cases expect it and tools propose it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runner import base58

SYSTEM_PROGRAM = "11111111111111111111111111111111"
TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 (an address)


@dataclass(frozen=True, slots=True)
class AccountMeta:
    pubkey: str
    is_signer: bool
    is_writable: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """`program_id` and the accounts' keys are base58 addresses; `data` is what the program is handed.

    lookup_tables: addresses of tables that make room for it in a transaction
    """

    program_id: str
    accounts: tuple[AccountMeta, ...]
    data: bytes
    lookup_tables: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "program_id": self.program_id,
            "accounts": [
                {"pubkey": meta.pubkey, "is_signer": meta.is_signer, "is_writable": meta.is_writable}
                for meta in self.accounts
            ],
            "data": base58.encode(self.data),
        }
