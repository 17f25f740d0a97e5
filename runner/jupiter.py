"""Jupiter's HTTP API: quotes, swaps and lending, as instructions to execute. Bounded in time and size."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from runner import base58
from runner.errors import ChainError
from runner.exchange import MIB, Answer, Exchange, ExchangeError, retry_pause
from runner.instruction import AccountMeta, Instruction
from runner.site import Site
from runner.tools import ToolError

VARIABLE, ADDRESS = "JUPITER_API_URL", "https://lite-api.jup.ag"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
MOST_BYTES = 8 * MIB
SWAP_PARTS = (
    "computeBudgetInstructions",
    "setupInstructions",
    "swapInstruction",
    "cleanupInstruction",
    "otherInstructions",
)

T = TypeVar("T")


def site(environ: Mapping[str, str] = os.environ) -> Site:
    return Site(environ.get(VARIABLE) or ADDRESS)


def reach() -> None:
    """Raises ChainError where nothing answers there: the case cannot begin. Whatever is answered will do."""
    try:
        _ask("HEAD", "", bool)
    except ExchangeError as error:
        hint = error.hint or f"see the network, or set {VARIABLE}"
        raise ChainError("reaching", f"Jupiter's API at {site().shown}", error.why, hint) from None


def get(path: str, **query: str) -> Any:
    """The JSON of an answer. Raises ToolError that says what was asked and what came."""
    return _answer("GET", path, query=query)


def post(path: str, body: dict[str, Any]) -> Any:
    return _answer("POST", path, body=body)


def _answer(method: str, path: str, **content: Any) -> Any:
    try:
        return _ask(method, path, Answer.good, **content)
    except ExchangeError as error:
        raise ToolError(f"{method} {path} at {site().shown}: {error.why}") from None


def _ask(method: str, path: str, read: Callable[[Answer], T], **content: Any) -> T:
    where = site()
    if not where.usable:
        raise ExchangeError("it is no address", hint=f"set {VARIABLE} to one, such as {ADDRESS}")
    exchange = Exchange(where, TIMEOUT, MOST_BYTES, pause=retry_pause(os.environ))
    try:
        return exchange.ask(method, path, read, **content)
    finally:
        exchange.close()


def instructions(found: Any, tables: tuple[str, ...] = ()) -> tuple[Instruction, ...]:
    """Those of an answer: one, a list of them, or an object that holds `instructions`."""
    if isinstance(found, dict) and "instructions" in found:
        found = found["instructions"]
    several = found if isinstance(found, list) else [found]
    return tuple(_instruction(each, tables) for each in several if each is not None)


def swap(found: Any) -> tuple[Instruction, ...]:
    """All instructions of a swap, in the order in which they are to be executed."""
    if not isinstance(found, dict) or not found.get("swapInstruction"):
        raise ToolError(f"Jupiter answered without a swap: {str(found)[:300]}")
    named = found.get("addressLookupTableAddresses")
    tables = tuple(named) if isinstance(named, list) else ()
    if not all(isinstance(name, str) and base58.is_address(name) for name in tables):
        raise ToolError("Jupiter answered with an address lookup table that is no address")
    parts = (found.get(name) for name in SWAP_PARTS)
    return tuple(each for part in parts if part for each in instructions(part, tables))


def _instruction(found: Any, tables: tuple[str, ...]) -> Instruction:
    try:
        metas = tuple(AccountMeta(m["pubkey"], m["isSigner"], m["isWritable"]) for m in found["accounts"])
        made = Instruction(found["programId"], metas, base64.b64decode(found["data"], validate=True), tables)
        if not all(base58.is_address(name) for name in (made.program_id, *(m.pubkey for m in metas))):
            raise ValueError("a key is no address")
        if not all(isinstance(flag, bool) for m in metas for flag in (m.is_signer, m.is_writable)):
            raise ValueError("isSigner and isWritable are true or false")
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        why = f"{type(error).__name__}: {error}"
        raise ToolError(f"Jupiter answered with an instruction that cannot be read: {why}") from None
    return made
