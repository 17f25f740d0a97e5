"""What must stand in a benchmark case before it is stored: the fields that every runner needs, and their types. Pure.

A runner may ask for more, such as an address that is one; whatever is refused here, it would refuse too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Place = tuple[str | int, ...]


class Fault(NamedTuple):
    """What is wrong at a place of the document."""

    place: Place
    why: str

    @property
    def field(self) -> str:
        """The place as people write it: `ground_truth.final_state_assertions[0].type`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.place).removeprefix(".")


def _text(value: object) -> bool:
    return isinstance(value, str)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _list(value: object) -> bool:
    return isinstance(value, list)


def _object(value: object) -> bool:
    return isinstance(value, dict)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


class _Field(NamedTuple):
    """`where` it stands: `*` is each element of a list. `holds` says whether a value will do, `what` it must be."""

    where: tuple[str, ...]
    holds: Callable[[Any], bool]
    what: str
    required: bool = True


ASSERTIONS = ("SolBalance", "SolBalanceChange", "TokenAccountBalance")
STATUSES = ("Success", "Failure", "None")
TRUTH, ASSERTED = ("ground_truth",), ("ground_truth", "final_state_assertions", "*")
EXPECTED = ("ground_truth", "expected_instructions")

FIELDS = (
    _Field(("description",), _text, "a text", required=False),
    _Field(("tags",), _list, "a list of texts", required=False),
    _Field(("tags", "*"), _text, "a text"),
    _Field(("prompt",), _text, "a text"),
    _Field(("initial_state",), lambda value: _list(value) and bool(value), "a list of at least one account"),
    _Field(("initial_state", "*"), _object, "an account: pubkey, owner, lamports"),
    _Field(("initial_state", "*", "pubkey"), _text, "a text: a placeholder or an address"),
    _Field(("initial_state", "*", "owner"), _text, "a text: the address of a program"),
    _Field(("initial_state", "*", "lamports"), _whole, "a whole number"),
    _Field(("flow",), _list, "a list of steps", required=False),
    _Field(("flow", "*"), _object, "a step: step, description, prompt"),
    _Field(("flow", "*", "step"), _whole, "a whole number"),
    _Field(("flow", "*", "prompt"), _text, "a text"),
    _Field(TRUTH, _object, "an object"),
    _Field((*TRUTH, "transaction_status"), STATUSES.__contains__, f"one of {', '.join(STATUSES)}", required=False),
    _Field((*TRUTH, "skip_instruction_validation"), _flag, "true or false", required=False),
    _Field((*TRUTH, "final_state_assertions"), _list, "a list"),
    _Field(ASSERTED, _object, "an object"),
    _Field((*ASSERTED, "type"), lambda value: _text(value) and value in ASSERTIONS, f"one of {', '.join(ASSERTIONS)}"),
    _Field((*ASSERTED, "pubkey"), _text, "a text: a placeholder or an address"),
    _Field(EXPECTED, _list, "a list", required=False),
    _Field((*EXPECTED, "*"), _object, "an instruction: program_id, accounts"),
    _Field((*EXPECTED, "*", "program_id"), _text, "a text: the address of a program"),
    _Field((*EXPECTED, "*", "accounts"), _list, "a list"),
)


def fault(document: dict[str, Any]) -> Fault | None:
    """The first thing that keeps a YAML object from being a case; None where nothing does."""
    for field in FIELDS:
        *way, name = field.where
        for place, holder in _found(document, tuple(way), ()):
            for step in range(len(holder)) if isinstance(holder, list) else (name,):
                if isinstance(holder, dict) and holder.get(step) is None:
                    if field.required:
                        return Fault((*place, step), f"it is missing: give {field.what}")
                elif not field.holds(holder[step]):
                    return Fault((*place, step), f"it is not {field.what}")
    return None


def _found(value: Any, way: tuple[str, ...], place: Place) -> Iterator[tuple[Place, Any]]:
    """All places that a way leads to; where a part is missing, another field has said so, or it need not be there."""
    if value is None:
        return
    if not way:
        yield place, value
    elif way[0] == "*":
        for number, each in enumerate(value):
            yield from _found(each, way[1:], (*place, number))
    elif way[0] in value:
        yield from _found(value[way[0]], way[1:], (*place, way[0]))
