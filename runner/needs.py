"""What a case needs that is not in this process: all of it is looked for before the case begins."""

from __future__ import annotations

import os
from typing import NamedTuple

from runner.case import Case
from runner.chain import Chain
from runner.errors import ChainError
from runner.instruction import SYSTEM_PROGRAM, TOKEN_PROGRAM

START = "surfpool start; then the same with --rpc-url http://127.0.0.1:8899"
SWAP, LEND = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4", "jup3YeL8QhtSx1e253b2FDvsMNC87fDrgQZivbrndc9"
NAMES = {SWAP: "Jupiter's swap", LEND: "Jupiter Lend"}
EVERYWHERE = (SYSTEM_PROGRAM, TOKEN_PROGRAM, "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")


class Missing(NamedTuple):
    what: str
    hint: str


def open_chain(case: Case, rpc_url: str | None) -> Chain:
    """The chain on which the case can begin. Raises ChainError that names all that it needs and that is not there."""
    chain, missing = _over_rpc(case, rpc_url) if rpc_url else (None, _embedded(case))
    if "jupiter" in case.needs:
        missing += _jupiter()
    if missing:
        hints = dict.fromkeys(each.hint for each in missing)
        raise ChainError("running", case.id, "; ".join(each.what for each in missing), "; ".join(hints))
    if chain is not None:
        return chain
    from runner.chain.litesvm import EmbeddedChain

    return EmbeddedChain()


def programs(case: Case) -> tuple[str, ...]:
    """The addresses of those that the case works with, and that not every chain has."""
    if "mainnet" not in case.needs:
        return ()
    called = [SWAP if each.tool_name == "jupiter_swap" else LEND for each in case.ground_truth.tool_calls
              if each.tool_name.startswith("jupiter_")]  # fmt: skip
    expected = [each.program_id for each in case.ground_truth.instructions if each.program_id not in EVERYWHERE]
    # Where the case does not tell, one that every copy of the main chain has.
    return tuple(dict.fromkeys([*called, *expected] or [SWAP]))


def _embedded(case: Case) -> list[Missing]:
    if "mainnet" not in case.needs:
        return []
    return [Missing("it needs the programs of the main chain, which the embedded chain has not", START)]


def _over_rpc(case: Case, rpc_url: str) -> tuple[Chain | None, list[Missing]]:
    from runner.chain.rpc import RpcChain
    from runner.exchange import retry_pause

    try:
        chain = RpcChain(rpc_url, retry_pause(os.environ))
        wanted = [(address, chain.account(address)) for address in programs(case)]
    except ChainError as error:
        if not case.needs:
            raise
        return None, [Missing(f"it needs a chain: {error}", error.hint)]
    return chain, [
        Missing(f"it needs the program {_name(address)}, which the chain at {chain.shown} has not", START)
        for address, account in wanted
        if account is None or not account.executable
    ]


def _name(address: str) -> str:
    return f"{address} ({NAMES[address]})" if address in NAMES else address


def _jupiter() -> list[Missing]:
    from runner.jupiter import reach

    try:
        reach()
    except ChainError as error:
        return [Missing(f"it needs {error.subject}: {error.why}", error.hint)]
    return []
