"""The instructions of Jupiter's swap and lending programs. Pure.

They are Anchor programs: the first eight bytes are those of SHA-256 over `global:` and the instruction's name. Of a
swap, the amounts stand at the very end, behind a route of any length (sources: the programs' IDLs).
"""

from __future__ import annotations

import hashlib

from reevd.views.layout import Form

DISCRIMINATOR = 8


def discriminator(name: str) -> bytes:
    return hashlib.sha256(f"global:{name}".encode()).digest()[:DISCRIMINATOR]


_IN = "amount:tokens quoted:received slippage:u16 fee:u8"
_OUT = "amount:received quoted:tokens slippage:u16 fee:u8"
_LEDGER = "quoted:received slippage:u16 fee:u8"
_OWN = "token_program authority source destination other"
_SHARED = (
    "token_program authority owner source program_source program_destination destination mint destination_mint"
)  # fmt: skip
_PAYS = "{amount} for about {quoted}, slippage {slippage} basis points"
_GETS = "about {quoted} for {amount}, slippage {slippage} basis points"
_ALL = "all for about {quoted}, slippage {slippage} basis points"

# At the end of the data.
SWAPS = {
    discriminator(name): Form(name, fields, accounts, says)
    for name, fields, accounts, says in (
        ("route", _IN, f"{_OWN} destination_mint", _PAYS),
        ("route_with_token_ledger", _LEDGER, f"{_OWN} destination_mint", _ALL),
        ("exact_out_route", _OUT, f"{_OWN} mint destination_mint", _GETS),
        ("shared_accounts_route", _IN, _SHARED, _PAYS),
        ("shared_accounts_route_with_token_ledger", _LEDGER, _SHARED, _ALL),
        ("shared_accounts_exact_out_route", _OUT, _SHARED, _GETS),
    )
}

# Right behind the discriminator. What the shares and assets are of, the accounts say.
LENDING = {
    discriminator(name): Form(name, "amount:u64", "signer", says)
    for name, says in (
        ("deposit", "{amount} units"),
        ("withdraw", "{amount} units"),
        ("mint", "{amount} shares"),
        ("redeem", "{amount} shares"),
    )
}
