"""A setting of the environment that is a number."""

from __future__ import annotations

import math
from collections.abc import Mapping

from runner.errors import UsageError


def not_negative(environ: Mapping[str, str], name: str, default: float, such_as: str) -> float:
    """`default` where it is not set, or empty. Raises UsageError where it is no number, or below zero."""
    text = environ.get(name, "")
    if not text:
        return default
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        hint = f"give a number that is not below zero, such as {such_as}"
        raise UsageError("reading", f"{name}={text}", "it is no number", hint)
    return found
