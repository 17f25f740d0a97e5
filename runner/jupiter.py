"""Jupiter's HTTP API: quotes, swaps and lending, as instructions to execute. Bounded in time and size."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from runner import base58
from runner.errors import ChainError
from runner.instruction import AccountMeta, Instruction
from runner.tools import ToolError

VARIABLE, ADDRESS = "JUPITER_API_URL", "https://lite-api.jup.ag"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
MOST_BYTES = 8 << 20
SWAP_PARTS = (
    "computeBudgetInstructions",
    "setupInstructions",
    "swapInstruction",
    "cleanupInstruction",
    "otherInstructions",
)


def address(environ: Mapping[str, str] = os.environ) -> str:
    return (environ.get(VARIABLE) or ADDRESS).rstrip("/")


def reach(subject: str) -> None:
    """Raises ChainError where nothing answers there: the case cannot begin. Whatever is answered will do."""
    try:
        httpx.head(address(), timeout=TIMEOUT)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        why = f"it needs Jupiter's API at {address()}: {error or type(error).__name__}"
        raise ChainError("running", subject, why, f"see the network, or set {VARIABLE}") from None


def get(path: str, **query: str) -> Any:
    """The JSON of an answer. Raises ToolError that says what was asked and what came."""
    return _answer("GET", path, params=query)


def post(path: str, body: dict[str, Any]) -> Any:
    return _answer("POST", path, json=body)


def _answer(method: str, path: str, **content: Any) -> Any:
    url = f"{address()}{path}"
    try:
        answer = httpx.request(method, url, timeout=TIMEOUT, follow_redirects=False, **content)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ToolError(f"{method} {url}: {error or type(error).__name__}") from None
    said = answer.content[:MOST_BYTES]
    if not answer.is_success:
        raise ToolError(f"{method} {url}: it answered {answer.status_code}: {said[:300].decode(errors='replace')}")
    try:
        return orjson.loads(said)
    except orjson.JSONDecodeError:
        raise ToolError(f"{method} {url}: what it answered is no JSON") from None


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
    tables = tuple(str(name) for name in named) if isinstance(named, list) else ()
    parts = (found.get(name) for name in SWAP_PARTS)
    return tuple(each for part in parts if part for each in instructions(part, tables))


def _instruction(found: Any, tables: tuple[str, ...]) -> Instruction:
    try:
        metas = tuple(AccountMeta(m["pubkey"], m["isSigner"], m["isWritable"]) for m in found["accounts"])
        made = Instruction(found["programId"], metas, base64.b64decode(found["data"], validate=True), tables)
        if not all(base58.is_address(name) for name in (made.program_id, *(m.pubkey for m in metas))):
            raise ValueError("a key is no address")
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        why = f"{type(error).__name__}: {error}"
        raise ToolError(f"Jupiter answered with an instruction that cannot be read: {why}") from None
    return made
