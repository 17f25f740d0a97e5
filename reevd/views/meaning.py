"""What an instruction does, in a sentence: its data decoded, its accounts by their roles and names. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from reevd.views import jupiter, programs, token_program
from reevd.views.accounts import Accounts, sol
from reevd.views.instruction import Instruction
from reevd.views.layout import Form, LayoutError, Value, read, size
from reevd.views.native_programs import ASSOCIATED_TOKEN_FORMS, COMPUTE_BUDGET_FORMS, SYSTEM_FORMS
from reevd.views.text import line

TOKEN_2022_FORMS = token_program.FORMS | token_program.EXTENSIONS
MEMO_LETTERS = 300
_MOVES = re.compile(r"\{(\w+)\} from \{(\w+)\} to \{(\w+)\}")


class Meaning(NamedTuple):
    """`name` as the program calls the instruction, `says` what it does with what; `roles` are of its accounts.

    moves   what it moves, from where, to where; None where it moves nothing
    """

    name: str
    says: str
    roles: tuple[str, ...] = ()
    moves: tuple[str, str, str] | None = None

    @property
    def text(self) -> str:
        return f"{self.name} {self.says}".rstrip()


def meaning(instruction: Instruction, accounts: Accounts) -> Meaning | None:
    """None where the program is not known to this decoder, or the data is no base58."""
    raw = instruction.raw
    if raw is None:
        return None
    if instruction.program in (programs.MEMO, programs.MEMO_V1):
        return Meaning("Memo", line(raw.decode(errors="replace"), MEMO_LETTERS))
    found = _form(instruction.program, raw)
    if found is None or found[0] is None:
        return found and Meaning(f"an instruction that is not known ({raw[:8].hex(' ') or 'no data'})", "")
    form, rest = found
    assert form is not None
    roles = tuple(form.accounts.split())
    try:
        values = read(form.types, rest)
    except LayoutError as error:
        return Meaning(form.name, f"whose data cannot be read: {error}", roles)
    addresses = dict(zip(roles, (account.address for account in instruction.accounts), strict=False))
    words = _Words(form, values, addresses, accounts)
    moved = _MOVES.fullmatch(form.says)
    moves = (words[moved[1]], words[moved[2]], words[moved[3]]) if moved else None
    return Meaning(form.name, form.says.format_map(words), roles, moves)


def _form(program: str, raw: bytes) -> tuple[Form | None, bytes] | None:
    """The form and the bytes of its fields; None as form where the program is known and the instruction is not."""
    if program == programs.SYSTEM:
        return SYSTEM_FORMS.get(int.from_bytes(raw[:4], "little")) if len(raw) >= 4 else None, raw[4:]
    if program == programs.TOKEN_2022 and raw.startswith(token_program.TRANSFER_WITH_FEE):
        return token_program.WITH_FEE, raw[2:]
    if program == programs.JUPITER:
        form, rest = jupiter.SWAPS.get(raw[: jupiter.DISCRIMINATOR]), raw[jupiter.DISCRIMINATOR :]
        return form, rest[-size(form.types) :] if form else rest
    if program == programs.JUPITER_LEND:
        return jupiter.LENDING.get(raw[: jupiter.DISCRIMINATOR]), raw[jupiter.DISCRIMINATOR :]
    numbered = {
        programs.TOKEN: token_program.FORMS,
        programs.TOKEN_2022: TOKEN_2022_FORMS,
        programs.COMPUTE_BUDGET: COMPUTE_BUDGET_FORMS,
        programs.ASSOCIATED_TOKEN: ASSOCIATED_TOKEN_FORMS,
    }.get(program)
    if numbered is None:
        return None
    if not raw and program == programs.ASSOCIATED_TOKEN:
        return ASSOCIATED_TOKEN_FORMS[0], raw  # as it was before it had more than one
    return numbered.get(raw[0]) if raw else None, raw[1:]


class _Words(dict[str, str]):
    """The words for the braces of a sentence. What a transaction leaves out is a question mark."""

    def __init__(
        self, form: Form, values: Mapping[str, Value], addresses: Mapping[str, str], accounts: Accounts
    ) -> None:
        super().__init__({role: accounts.name(address) for role, address in addresses.items()})
        source = addresses.get("source") or addresses.get("destination") or ""
        sent = addresses.get("mint") or accounts.mint(source) or accounts.mint(addresses.get("destination", ""))
        got = addresses.get("destination_mint") or accounts.mint(addresses.get("destination", ""))
        for name, kind in form.types.items():
            value, decimals = values[name], values.get("decimals")
            if isinstance(value, int):
                self[name] = f"{value:,}"
                if kind == "sol":
                    self[name] = sol(value)
                elif kind == "tokens":
                    self[name] = accounts.tokens(value, sent, decimals if isinstance(decimals, int) else None)
                elif kind == "received":
                    self[name] = accounts.tokens(value, got)
            elif isinstance(value, str):
                self[name] = line(value, 60) if kind == "seed" else accounts.name(value)
            else:
                self[name] = "nobody"

    def __missing__(self, key: str) -> str:
        return "?"
