"""The accounts of a step: what people call them, what they hold, and amounts in the units that people use. Pure."""

from __future__ import annotations

from typing import Any

from reevd.views.programs import PROGRAMS, TOKENS, Token
from reevd.views.text import line

SOL_DECIMALS = 9
MOST_DECIMALS = 30  # a hostile number of decimals must not make a line of zeros
NAME = 60


def amount(units: int, decimals: int) -> str:
    """`1,234.5` for 1234500 with 3 decimals: exact, without needless zeros."""
    decimals = min(max(decimals, 0), MOST_DECIMALS)
    whole, rest = divmod(abs(units), 10**decimals)
    fraction = f".{rest:0{decimals}d}".rstrip("0").rstrip(".") if decimals else ""
    return f"{'-' if units < 0 else ''}{whole:,}{fraction}"


def sol(lamports: int) -> str:
    return f"{amount(lamports, SOL_DECIMALS)} SOL"


def short(address: str) -> str:
    """`9StA…QjpQ`: enough to find an address among those of one run."""
    return line(address if len(address) <= 12 else f"{address[:4]}…{address[-4:]}")


class Accounts:
    """What an observation says of accounts.

    key_map         name to address, such as USER_WALLET_PUBKEY
    account_states  name or address to {lamports, owner, amount?, mint?}, as the accounts were after the transaction
    """

    def __init__(self, key_map: object = None, account_states: object = None) -> None:
        self.addresses = _texts(key_map)
        self.names = {address: name for name, address in self.addresses.items() if name != address}
        self.states = account_states if isinstance(account_states, dict) else {}

    def name(self, address: str) -> str:
        """What to call an account in a sentence: its name in the case, the token's or the program's, else in short."""
        return line(self.names[address], NAME) if address in self.names else known(address) or short(address)

    def label(self, address: str) -> str:
        """The same, and empty where there is nothing to add to the address."""
        return line(self.names[address], NAME) if address in self.names else known(address)

    def state(self, address: str) -> dict[str, Any] | None:
        """How an account was after the transaction."""
        found = self.states.get(self.names.get(address, address), self.states.get(address))
        return found if isinstance(found, dict) else None

    def mint(self, address: str) -> str | None:
        """The mint of a token account, where its state tells."""
        mint = (self.state(address) or {}).get("mint")
        return mint if isinstance(mint, str) else None

    def tokens(self, units: int, mint: str | None, decimals: int | None = None) -> str:
        """`15 USDC`; without the mint's decimals `15,000,000 units of EPjF…Dt1v`."""
        token = TOKENS.get(mint or "")
        if decimals is None and token:
            decimals = token.decimals
        of = token.symbol if token else f"of {self.name(mint)}" if mint else ""
        if decimals is None:
            return f"{units:,} units {of}".rstrip()
        return f"{amount(units, decimals)} {of or 'tokens'}"

    def holdings(self, state: Any) -> list[str]:
        """What an account holds, the tokens first: `10 USDC` and `0.00203928 SOL`; else its state as it is."""
        if not isinstance(state, dict):
            return [line(state, 200)]
        held = []
        if (units := integer(state.get("amount"))) is not None:
            held.append(self.tokens(units, state["mint"] if isinstance(state.get("mint"), str) else None))
        if (lamports := integer(state.get("lamports"))) is not None:
            held.append(sol(lamports))
        return held or [line(state, 200)]


def integer(value: object) -> int | None:
    """A whole number, also one that a writer left as text; None for all else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def known(address: str) -> str:
    """The name of a program or a token; empty for what is neither."""
    token: Token | None = TOKENS.get(address)
    return token.symbol if token else PROGRAMS.get(address, "")


def _texts(value: object) -> dict[str, str]:
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}
