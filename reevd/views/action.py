"""Instructions as branches of a tree: what each does, its program, its accounts, its data. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reevd.views.accounts import Accounts
from reevd.views.instruction import Account, Instruction
from reevd.views.meaning import Meaning, meaning
from reevd.views.programs import title
from reevd.views.text import line
from reevd.views.tree import Branch

ADDRESS = 44  # letters that an address takes at most


def action(several: Sequence[Instruction], accounts: Accounts, refused: int | None = None) -> Iterator[Branch]:
    """One branch for each instruction; that with the index `refused` is marked."""
    for number, instruction in enumerate(several):
        does = meaning(instruction, accounts)
        text = f": {does.text}" if does else ""
        mark = "✘ " if number == refused else ""
        name = line(title(instruction.program), 100)
        yield Branch(f"{mark}{number}. {name}{text}", _parts(instruction, does, accounts))


def _parts(instruction: Instruction, does: Meaning | None, accounts: Accounts) -> Iterator[Branch]:
    yield Branch(f"program {line(instruction.program)}")
    roles = does.roles if does else ()
    for index, account in enumerate(instruction.accounts):
        role = roles[index].replace("_", " ") if index < len(roles) else ""
        yield Branch(_account(index, account, role, accounts.label(account.address)))
    unread = " (no base58)" if instruction.raw is None and instruction.data else ""
    yield Branch(f"data {line(instruction.data) or 'none'}{unread}")


def _account(index: int, account: Account, role: str, label: str) -> str:
    signer, writable = _flag(account.signer, "signer"), _flag(account.writable, "writable")
    known = f"{role}: {label}" if role and label and role != label else role or label
    return f"account {index:>2}  {signer:<6}  {writable:<8}  {line(account.address):<{ADDRESS}}  {known}".rstrip()


def _flag(value: bool | None, word: str) -> str:
    return "?" if value is None else word if value else "-"
