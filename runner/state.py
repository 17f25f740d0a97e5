"""The chain's state as a case asks for it before a run, and as it stands after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runner.case import Case, Name
from runner.chain import Account, Chain, Transaction
from runner.instruction import SYSTEM_PROGRAM, TOKEN_PROGRAM
from runner.keys import Keys
from runner.score import Balances
from runner.token_program import MINT_RENT, TokenAccount, account_bytes, mint_bytes, read_account


def prepare(chain: Chain, case: Case, keys: Keys) -> None:
    """Puts the accounts of the case's initial state, and the mints that they are of."""
    supplies: dict[str, int] = {}
    for initial in case.initial_state:
        data = b""
        if initial.token:
            mint, owner = keys.address(initial.token.mint), keys.address(initial.token.owner)
            supplies[mint] = supplies.get(mint, 0) + initial.token.amount
            data = account_bytes(TokenAccount(mint, owner, initial.token.amount))
        chain.put(keys.address(initial.pubkey), Account(initial.lamports, initial.owner, False, data))
    for mint, supply in supplies.items():
        # A chain that knows the mint already, as a copy of the main one does, keeps its own.
        if chain.account(mint) is None:
            chain.put(mint, Account(MINT_RENT, TOKEN_PROGRAM, False, mint_bytes(mint, supply)))


def lamports(chain: Chain, keys: Keys, names: Iterable[Name]) -> dict[Name, int]:
    """The balance of each name; 0 where the chain holds no account."""
    found = {name: chain.account(keys.address(name)) for name in names}
    return {name: account.lamports if account else 0 for name, account in found.items()}


def balances(chain: Chain, keys: Keys, name: Name, before: int) -> Balances:
    account = chain.account(keys.address(name))
    token = read_account(account.data) if account and account.owner == TOKEN_PROGRAM else None
    return Balances(before, account.lamports if account else 0, token.amount if token else None)


def observe(
    chain: Chain, keys: Keys, sent: Transaction | None, why_not: str | None = None, *, none_wanted: bool = False
) -> dict[str, Any]:
    """What the session file says of a step's end. `why_not` stands where nothing was sent, and something should."""
    good = none_wanted if sent is None else sent.succeeded
    return {
        "last_transaction_status": "Success" if good else "Failure",
        "last_transaction_error": sent.error if sent else None if good else why_not,
        "last_transaction_logs": list(sent.logs) if sent else [],
        "account_states": {name: _state(chain.account(address)) for name, address in keys.key_map.items()},
        "key_map": dict(keys.key_map),
    }


def unobserved(keys: Keys, why: str) -> dict[str, Any]:
    """The same of a step in which the run broke: the chain may be what broke it, and is not asked."""
    return {
        "last_transaction_status": "Failure",
        "last_transaction_error": why,
        "last_transaction_logs": [],
        "account_states": {},
        "key_map": dict(keys.key_map),
    }


def _state(account: Account | None) -> dict[str, Any]:
    # The runtime itself takes an account that is not there for an empty one of the system program.
    account = account or Account(0, SYSTEM_PROGRAM, False, b"")
    state: dict[str, Any] = {
        "lamports": account.lamports,
        "owner": account.owner,
        "executable": account.executable,
        "data_len": len(account.data),
    }
    token = read_account(account.data) if account.owner == TOKEN_PROGRAM else None
    return state | ({"amount": token.amount, "mint": token.mint} if token else {})
