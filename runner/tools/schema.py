"""A tool's parameters as JSON Schema, for a model that is to call it. Pure."""

from __future__ import annotations

from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from runner.tools import Tool
from runner.tools.parameters import AMOUNT_MAX, Amount, Key

KEY = {"type": "string", "description": "An address in base58, or the name of a placeholder."}
AMOUNT = {"type": "integer", "minimum": 0, "maximum": AMOUNT_MAX}


def schema(parameters: type) -> dict[str, Any]:
    """Strict: an argument that is not named is refused, as the tool itself does."""
    hints = get_type_hints(parameters, include_extras=True)
    required = [field.name for field in fields(parameters) if field.default is MISSING]
    return {
        "type": "object",
        "properties": {name: _property(hint) for name, hint in hints.items()},
        "required": required,
        "additionalProperties": False,
    }


def definition(tool: Tool[Any]) -> dict[str, Any]:
    """The tool as chat completions take it."""
    about = {"name": tool.name, "description": tool.description, "parameters": schema(tool.parameters)}
    return {"type": "function", "function": about}


def _property(hint: Any) -> dict[str, Any]:
    if get_origin(hint) is Annotated:
        inner, text, *_ = get_args(hint)
        return {**_property(inner), "description": text}
    if get_origin(hint) in (Union, UnionType):
        options = get_args(hint)
        (one,) = (option for option in options if option is not NoneType)
        found = _property(one)
        if "enum" in found:
            return {**found, "enum": [*found["enum"], None], "type": [found["type"], "null"]}
        return {**found, "type": [found["type"], "null"]}
    if hint is NoneType:
        return {"type": "null"}
    if get_origin(hint) is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    if hint is Key:
        return dict(KEY)
    if hint is Amount:
        return dict(AMOUNT)
    raise TypeError(f"an annotation that is not supported: {hint}")
