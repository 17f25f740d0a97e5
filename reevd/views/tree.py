"""A tree drawn with lines. Pure.

Branches are made as they are drawn, so that a tree of any size costs no more than the lines that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

MOST_LINES = 5_000


class Branch(NamedTuple):
    """One line and what hangs below it. `text` must be escaped, and of one line."""

    text: str
    below: Iterable[Branch] = ()


def draw(root: Branch, most: int = MOST_LINES) -> str:
    """The lines, at most so many and one that says that there are more."""
    drawn = lines(root)
    shown = list(islice(drawn, most))
    if next(drawn, None) is not None:
        shown.append(f"… cut after {most:,} lines")
    return "\n".join(shown)


def some(branches: Iterable[Branch], most: int, what: str) -> Iterator[Branch]:
    """The first `most` of them, and one that counts the rest."""
    several = iter(branches)
    yield from islice(several, most)
    if rest := sum(1 for _ in several):
        yield Branch(f"… and {rest:,} more {what}")


def lines(root: Branch) -> Iterator[str]:
    """All lines of a tree, as they are made. Keeps its own stack: depth is not the interpreter's concern."""
    yield root.text
    # Of each open level: what comes before its lines, and its branches with the next one already at hand.
    levels = [("", *_ahead(root.below))]
    while levels:
        before, branch, rest = levels.pop()
        if branch is None:
            continue
        following = next(rest, None)
        yield f"{before}{'├─' if following else '└─'} {branch.text}"
        levels.append((before, following, rest))
        levels.append((f"{before}{'│  ' if following else '   '}", *_ahead(branch.below)))


def _ahead(branches: Iterable[Branch]) -> tuple[Branch | None, Iterator[Branch]]:
    several = iter(branches)
    return next(several, None), several
