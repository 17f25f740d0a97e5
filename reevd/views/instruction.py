"""Instructions as writers leave them: in a step's action, or in the result of a tool. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from reevd.views import base58

MOST = 1_000  # a transaction has room for 64


class Account(NamedTuple):
    """An account that an instruction names; a flag is None where the writer does not tell."""

    address: str
    signer: bool | None
    writable: bool | None


class Instruction(NamedTuple):
    """`data` is the writer's text, base58; `raw` its bytes, None where it is no base58."""

    program: str
    accounts: tuple[Account, ...]
    data: str
    raw: bytes | None


def instructions(value: object) -> list[Instruction]:
    """Those in `value`: one, several, JSON text of these, or an object that holds them by name. None: an empty list."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value) if value.lstrip()[:1] in ("[", "{") else None
        except orjson.JSONDecodeError:
            return []
    if isinstance(value, dict) and "program_id" not in value:
        value = next((value[name] for name in ("instructions", "transactions") if name in value), None)
    several = value if isinstance(value, list) else [value]
    return list(_some(several))


def _some(several: list[Any]) -> Iterator[Instruction]:
    for entry in several[:MOST]:
        if isinstance(entry, list):  # a transaction of several, in a list of transactions
            yield from (_instruction(e) for e in entry[:MOST] if _is_one(e))
        elif _is_one(entry):
            yield _instruction(entry)


def _is_one(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("program_id"), str)


def _instruction(entry: dict[str, Any]) -> Instruction:
    accounts, data = entry.get("accounts"), entry.get("data")
    known = tuple(map(_account, accounts)) if isinstance(accounts, list) else ()
    text = data if isinstance(data, str) else ""
    return Instruction(entry["program_id"], known, text, base58.decode(text) if isinstance(data, str) else None)


def _account(entry: object) -> Account:
    if not isinstance(entry, dict):
        return Account(entry if isinstance(entry, str) else "?", None, None)
    address = entry.get("pubkey")
    return Account(
        address if isinstance(address, str) else "?", _flag(entry.get("is_signer")), _flag(entry.get("is_writable"))
    )


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
