"""What a process that lives long does about memory.

The C library keeps what a burst needed, in pieces that Python cannot reach; the collector looks for garbage where
there is next to none, and everything stands still meanwhile.
"""

from __future__ import annotations

import ctypes
import gc

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def calm() -> None:
    """What is loaded by now stays; what comes is freed without the collector's help, nearly all of it.

    The rest waits until there is nothing else to do, or is too much: a collection is a pause of milliseconds.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def give_back() -> None:
    """Takes some milliseconds: for when there is nothing else to do."""
    gc.collect()
    if _trim is not None:  # the C library has no such call everywhere
        _trim(0)
