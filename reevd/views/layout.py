"""How an instruction's data is laid out, and what it says: tables that one small reader understands. Pure.

All numbers are little-endian. A form's fields are `name:type`, one after another; its accounts are roles, in order.
"""

from __future__ import annotations

from typing import NamedTuple

from reevd.views import base58

# u64 by what it counts: sol is lamports, tokens the units of a mint, received those of the mint that is swapped for.
WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "sol": 8, "tokens": 8, "received": 8}
KEY = 32
Value = int | str | None


class LayoutError(ValueError):
    """The data is not as the program lays it out."""


class Form(NamedTuple):
    """One instruction of a program. `says` is a sentence with the names of fields and accounts in braces."""

    name: str
    fields: str = ""
    accounts: str = ""
    says: str = ""

    @property
    def types(self) -> dict[str, str]:
        return dict(field.split(":") for field in self.fields.split())


def read(types: dict[str, str], raw: bytes) -> dict[str, Value]:
    """The fields that `raw` begins with. Raises LayoutError where it is too short or its text no UTF-8."""
    values: dict[str, Value] = {}
    for name, kind in types.items():
        if kind in WIDTHS:
            head, raw = _take(raw, WIDTHS[kind])
            values[name] = int.from_bytes(head, "little")
        elif kind == "key":
            head, raw = _take(raw, KEY)
            values[name] = base58.encode(head)
        elif kind == "maybe_key":
            flag, raw = _take(raw, 1)
            head, raw = _take(raw, KEY) if flag[0] else (b"", raw)
            values[name] = base58.encode(head) if head else None
        else:  # seed: text with its length before it
            size, raw = _take(raw, 8)
            head, raw = _take(raw, int.from_bytes(size, "little"))
            values[name] = _text(head)
    return values


def size(types: dict[str, str]) -> int:
    """The bytes that numbers of these types take."""
    return sum(WIDTHS[kind] for kind in types.values())


def _take(raw: bytes, width: int) -> tuple[bytes, bytes]:
    if len(raw) < width:
        raise LayoutError(f"{len(raw)} bytes are left where {width} are due")
    return raw[:width], raw[width:]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise LayoutError("its text is no UTF-8") from error
