"""Giving memory back to the system. The C library keeps what a burst needed, in pieces that Python cannot reach."""

from __future__ import annotations

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Takes some milliseconds: for when there is nothing else to do. Nothing where the C library has no such call."""
    if _trim is not None:
        _trim(0)
