"""The token program's accounts, as bytes on the chain. Pure.

A mint takes 82 bytes, a token account 165, little-endian; an optional field is a 4-byte flag before its value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from runner import base58

MINT = struct.Struct("<36sQB?36s")
ACCOUNT = struct.Struct("<32s32sQ36sB12sQ36s")
NONE_KEY, NONE_AMOUNT = bytes(36), bytes(12)
INITIALIZED = 1

# What a rent-exempt account of each size costs, in lamports.
MINT_RENT, ACCOUNT_RENT = 1_461_600, 2_039_280

WRAPPED_SOL = "So11111111111111111111111111111111111111112"
DECIMALS = {
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": 6,  # USDC
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB": 6,  # USDT
    "9BEcn9aPEmhSPbPQeFGjidRiEKki46fVQDyPpSQXPA2D": 6,  # shares of Jupiter Lend's USDC vault
}
DEFAULT_DECIMALS = 9  # SOL's own, and what the token program's tools give a mint that asks for nothing else


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """`mint` and `owner` are addresses; `amount` counts the mint's smallest unit."""

    mint: str
    owner: str
    amount: int


def mint_bytes(mint: str, supply: int) -> bytes:
    """A mint without authorities, as it lies on the chain."""
    return MINT.pack(NONE_KEY, supply, DECIMALS.get(mint, DEFAULT_DECIMALS), True, NONE_KEY)


def account_bytes(account: TokenAccount) -> bytes:
    native = struct.pack("<IQ", 1, ACCOUNT_RENT) if account.mint == WRAPPED_SOL else NONE_AMOUNT
    mint, owner = base58.decode(account.mint), base58.decode(account.owner)
    return ACCOUNT.pack(mint, owner, account.amount, NONE_KEY, INITIALIZED, native, 0, NONE_KEY)


def read_account(raw: bytes) -> TokenAccount | None:
    """The token account in `raw`, or None where it holds none."""
    if len(raw) != ACCOUNT.size:
        return None
    mint, owner, amount, _, state, *_ = ACCOUNT.unpack(raw)
    return TokenAccount(base58.encode(mint), base58.encode(owner), amount) if state else None
