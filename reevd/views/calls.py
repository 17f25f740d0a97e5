"""The log of a transaction as nested program calls. Pure.

The runtime writes `Program X invoke [n]`, then what X logs and calls, then `Program X success` or `Program X failed:
why`; it cuts a log that is too long. What does not fit this is kept as a line of its own, where it stood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# The runtime allows a program call to nest 5 to 9 deep; deeper ones of a forged log hang below the deepest.
DEEPEST = 64
TRUNCATED = "Log truncated"

_INVOKE = re.compile(r"Program (\S{1,64}) invoke \[(\d{1,9})\]")
_SUCCESS = re.compile(r"Program (\S{1,64}) success")
_FAILED = re.compile(r"Program (\S{1,64}) failed: (.*)", re.DOTALL)
_CONSUMED = re.compile(r"Program (\S{1,64}) consumed (\d{1,20}) of (\d{1,20}) compute units")
_LOG = re.compile(r"Program log: ?(.*)", re.DOTALL)


class Consumed(NamedTuple):
    """Compute units that a call used, of those that it had."""

    used: int
    of: int


class Call:
    """One call of a program. `parts` are its log lines and the calls within, in their order.

    succeeded   None where the log does not tell: it was cut, or the transaction ended there
    error       the runtime's words for a failure
    """

    def __init__(self, program: str, depth: int) -> None:
        self.program, self.depth = program, depth
        self.parts: list[Call | str] = []
        self.consumed: Consumed | None = None
        self.succeeded: bool | None = None
        self.error: str | None = None


def calls(lines: Iterable[str]) -> list[Call | str]:
    """The calls at the top, with all others within them; and the lines that belong to none."""
    top: list[Call | str] = []
    within: list[Call] = []  # from the outermost call to the innermost that is still open
    for text in lines:
        if found := _INVOKE.fullmatch(text):
            depth = max(int(found[2]), 1)
            del within[min(depth - 1, DEEPEST) :]  # those that never said how they ended
            call = Call(found[1], depth)
            _last(within, top).append(call)
            within.append(call)
        elif not (_ended(text, within) or _metered(text, within)):
            log = _LOG.fullmatch(text)
            _last(within, top).append(log[1] if log else text)
    return top


def failed(parts: Iterable[Call | str]) -> Call | None:
    """The innermost call that failed: what it says is the cause, what is around it only passes it on."""
    for part in parts:
        if isinstance(part, Call) and part.succeeded is False:
            return failed(part.parts) or part
    return None


def cut(parts: Iterable[Call | str]) -> bool:
    """Whether the runtime cut the log."""
    return any(part == TRUNCATED if isinstance(part, str) else cut(part.parts) for part in parts)


def walk(parts: Iterable[Call | str]) -> Iterator[Call]:
    """Every call, in the order in which they began."""
    for part in parts:
        if isinstance(part, Call):
            yield part
            yield from walk(part.parts)


def _last(within: list[Call], top: list[Call | str]) -> list[Call | str]:
    return within[-1].parts if within else top


def _ended(text: str, within: list[Call]) -> bool:
    found = _SUCCESS.fullmatch(text) or _FAILED.fullmatch(text)
    index = _open(found[1], within) if found else None
    if found is None or index is None:
        return False
    call = within[index]
    call.succeeded = found.re is _SUCCESS
    call.error = None if call.succeeded else found[2]
    del within[index:]
    return True


def _metered(text: str, within: list[Call]) -> bool:
    found = _CONSUMED.fullmatch(text)
    index = _open(found[1], within) if found else None
    if found is None or index is None:
        return False
    within[index].consumed = Consumed(int(found[2]), int(found[3]))
    return True


def _open(program: str, within: list[Call]) -> int | None:
    """The innermost open call of a program."""
    return next((i for i in reversed(range(len(within))) if within[i].program == program), None)
