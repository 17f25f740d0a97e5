"""A run's keys: each placeholder of a case becomes a fresh key pair or a derived address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

from runner.case import Case, Name, is_placeholder

USER_WALLET = "USER_WALLET_PUBKEY"


@dataclass(frozen=True, slots=True)
class Keys:
    """`key_map` leads from each name of the case to its address, `signers` from a wallet's address to its key pair.

    `payer` is the address that pays the transactions' fees.
    """

    key_map: Mapping[Name, str]
    signers: Mapping[str, Keypair]
    payer: str

    def address(self, name: Name) -> str:
        """The name's address; a name that the case does not know stands for itself."""
        return self.key_map.get(name, name)


def fresh(case: Case) -> Keys:
    """New keys for one run: wallets and mints are drawn at random, token accounts are derived from theirs."""
    derivations = case.derivations()
    signers: dict[str, Keypair] = {}
    key_map: dict[Name, str] = {}
    for name in _names(case):
        if name in derivations and is_placeholder(name):
            continue
        key_map[name] = name
        if is_placeholder(name):
            pair = Keypair()
            key_map[name] = str(pair.pubkey())
            signers[key_map[name]] = pair
    for name, derivation in derivations.items():
        key_map.setdefault(name, associated(key_map[derivation.owner], key_map[derivation.mint]))
    wallets = [a.pubkey for a in case.initial_state if not a.token]
    payer = USER_WALLET if USER_WALLET in key_map or not wallets else wallets[0]
    return Keys(key_map, signers, key_map.get(payer, payer))


def associated(wallet: str, mint: str) -> str:
    """The address of the token account that belongs to a wallet and a mint."""
    return str(get_associated_token_address(Pubkey.from_string(wallet), Pubkey.from_string(mint)))


def _names(case: Case) -> list[Name]:
    """Every name that the case uses, each once, in its order."""
    names: dict[Name, None] = {}
    for account in case.initial_state:
        names[account.pubkey] = None
        if account.token:
            names |= {account.token.owner: None, account.token.mint: None}
    for assertion in case.ground_truth.assertions:
        names[assertion.pubkey] = None
    for derivation in case.derivations().values():
        names |= {derivation.owner: None, derivation.mint: None}
    for instruction in case.ground_truth.instructions:
        names[instruction.program_id] = None
        names |= {account.pubkey: None for account in instruction.accounts}
    return list(names)
