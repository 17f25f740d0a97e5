"""Programs and tokens of Solana's main network, by their addresses, and what their error numbers mean. Pure.

Sources: the programs' own definitions: SystemError and TokenError by their order, Jupiter's by its IDL.
"""

from __future__ import annotations

from typing import NamedTuple

SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105 (an address)
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105 (an address)
ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"  # noqa: S105 (an address)
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
MEMO = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
MEMO_V1 = "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
JUPITER_LEND = "jup3YeL8QhtSx1e253b2FDvsMNC87fDrgQZivbrndc9"

PROGRAMS = {
    SYSTEM: "System",
    TOKEN: "SPL Token",
    TOKEN_2022: "Token-2022",
    ASSOCIATED_TOKEN: "Associated Token",
    COMPUTE_BUDGET: "Compute Budget",
    MEMO: "Memo",
    MEMO_V1: "Memo v1",
    JUPITER: "Jupiter",
    "JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB": "Jupiter v4",
    JUPITER_LEND: "Jupiter Lend",
    "jupeiUmn818Jg1ekPURTpr4mFo29p46vygyykFJ3wZC": "Jupiter Liquidity",
    "jup7TthsMgcR9Y3L277b8Eo9uboVSmu1utkuXHNUKar": "Jupiter Lend Rewards",
    "jupr81YtYssSyPt8jbnGuiWon5f6x9TcDEFxYe3Bdzi": "Jupiter Vaults",
    "AddressLookupTab1e1111111111111111111111111": "Address Lookup Table",
    "BPFLoaderUpgradeab1e11111111111111111111111": "BPF Loader",
    "Stake11111111111111111111111111111111111111": "Stake",
    "Vote111111111111111111111111111111111111111": "Vote",
    "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8": "Raydium",
    "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK": "Raydium CLMM",
    "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc": "Orca Whirlpool",
    "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo": "Meteora DLMM",
}


class Token(NamedTuple):
    symbol: str
    decimals: int


TOKENS = {
    "So11111111111111111111111111111111111111112": Token("wSOL", 9),
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v": Token("USDC", 6),
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB": Token("USDT", 6),
}

_TOKEN_ERRORS = dict(
    enumerate(
        (
            "the lamport balance is below the rent-exempt threshold",
            "insufficient funds",
            "invalid mint",
            "the account is not associated with this mint",
            "the owner does not match",
            "the supply of this token is fixed",
            "the account or token is already in use",
            "invalid number of provided signers",
            "invalid number of required signers",
            "the account's state is uninitialized",
            "the instruction does not support native tokens",
            "a non-native account can only be closed if its balance is zero",
            "invalid instruction",
            "the account's state is invalid for the operation",
            "the operation overflowed",
            "the account does not support the authority type",
            "the mint cannot freeze accounts",
            "the account is frozen",
            "the decimals differ from the mint's",
            "the instruction does not support non-native tokens",
        )
    )
)
_SYSTEM_ERRORS = dict(
    enumerate(
        (
            "an account with the same address already exists",
            "the account does not have enough SOL",
            "cannot assign the account to this program",
            "cannot allocate account data of this length",
            "the seed is too long",
            "the address does not match the one derived from the seed",
            "advancing a nonce needs a populated RecentBlockhashes sysvar",
            "the stored nonce is still in recent blockhashes",
            "the nonce does not match the stored one",
        )
    )
)
_JUPITER_ERRORS = {6000: "the route is empty", 6001: "the slippage tolerance was exceeded", 6024: "insufficient funds"}
ERRORS = {
    SYSTEM: _SYSTEM_ERRORS,
    TOKEN: _TOKEN_ERRORS,
    TOKEN_2022: _TOKEN_ERRORS,
    ASSOCIATED_TOKEN: {0: "the account's owner does not match the address derivation"},
    JUPITER: _JUPITER_ERRORS,
}


def title(address: str) -> str:
    """The program's name where it is known, else its address as it is."""
    return PROGRAMS.get(address, address)


def error_meaning(program: str, number: int) -> str | None:
    """What a program's own error number (`custom program error`) means; None where that is not known."""
    return ERRORS.get(program, {}).get(number)
