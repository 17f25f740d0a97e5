"""The log of a transaction as branches of a tree, one for each program call. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reevd.views.calls import Call
from reevd.views.programs import PROGRAMS
from reevd.views.text import line
from reevd.views.tree import Branch

OUTCOMES = {True: "✔", False: "✘", None: "?"}


def branches(parts: list[Call | str], *, units: bool) -> Iterator[Branch]:
    """Each call with its lines and the calls within; with `units`, what it used of its compute units."""
    for part in parts:
        yield _call(part, units=units) if isinstance(part, Call) else Branch(f"log: {line(part)}")


def _call(call: Call, *, units: bool) -> Branch:
    name = PROGRAMS.get(call.program)
    title = f"{name} ({call.program})" if name else line(call.program)
    metered = f", {call.consumed.used:,} of {call.consumed.of:,} units" if units and call.consumed else ""
    return Branch(f"{OUTCOMES[call.succeeded]} {title} [{call.depth}]{metered}", _below(call, units=units))


def _below(call: Call, *, units: bool) -> Iterator[Branch]:
    yield from branches(call.parts, units=units)
    if call.succeeded is False:
        yield Branch(f"failed: {line(call.error)}")
    elif call.succeeded is None and not _goes_on(call):
        yield Branch("the log ends here")


def _goes_on(call: Call) -> bool:
    """Whether the log ends within another call below."""
    last = call.parts[-1] if call.parts else None
    return isinstance(last, Call) and last.succeeded is None
