"""A call's arguments, JSON from an agent, to a tool's typed parameters. Pure.

The parameters' annotations say it all: `Key` takes a placeholder or an address, `Amount` a whole number that
the chain can hold, a `Literal` one of its words; `| None` allows null, a default allows absence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from runner import base58
from runner.tools import ToolError

Key = NewType("Key", str)
Amount = NewType("Amount", int)

AMOUNT_MAX = 2**64 - 1
P = TypeVar("P")


def read(parameters: type[P], arguments: Mapping[str, Any], address: Callable[[str], str]) -> P:
    """Raises ToolError that names the argument and what is wrong with it."""
    hints = _hints(parameters)  # type: ignore[arg-type]  # a class can be hashed, which mypy does not see
    unknown = sorted(arguments.keys() - hints.keys())
    if unknown:
        raise ToolError(f"unknown argument {', '.join(unknown)}; known are {', '.join(hints)}")
    values: dict[str, Any] = {}
    for field in fields(parameters):  # type: ignore[arg-type]  # a dataclass, which a type variable cannot say
        if field.name in arguments:
            values[field.name] = _value(field.name, hints[field.name], arguments[field.name], address)
        elif field.default is MISSING:
            raise ToolError(f"argument {field.name} is missing")
    return parameters(**values)


@lru_cache(64)
def _hints(parameters: type) -> dict[str, Any]:
    """Once a type: they are text, and reading them takes longer than the call."""
    return get_type_hints(parameters)


def _value(name: str, hint: Any, value: Any, address: Callable[[str], str]) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    wanted = next((option for option in options if option is not type(None)), None)
    if wanted is None:
        raise ToolError(f"argument {name} must be null here, not {value!r}")
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise ToolError(f"argument {name} must be {' or '.join(map(repr, get_args(wanted)))}, not {value!r}")
        return value
    if wanted is Key:
        if not isinstance(value, str):
            raise ToolError(f"argument {name} must be a key or a placeholder, not {value!r}")
        if not base58.is_address(address(value)):
            raise ToolError(f"argument {name}: {value[:64]!r} is neither an address nor a placeholder of this case")
        return address(value)
    if wanted is Amount:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= AMOUNT_MAX:
            raise ToolError(f"argument {name} must be a whole number between 0 and {AMOUNT_MAX}, not {value!r}")
        return value
    raise TypeError(f"parameter {name} has an annotation that is not supported: {hint}")
