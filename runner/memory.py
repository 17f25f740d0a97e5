"""What a process that makes one chain after another does about memory."""

from __future__ import annotations

import ctypes

# The names and numbers are those of <malloc.h>; a threshold for mmap is refused above half a heap, which is 32 MiB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_BYTES, LARGEST_BYTES = 64 << 20, 32 << 20


def keep() -> None:
    """What an ended chain leaves free serves the next one, without the system between them.

    Else each takes some 800 fresh pages, a quarter of the time that making it and one transfer take. Not every C
    library can be told so.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(M_TRIM_THRESHOLD, MOST_BYTES)
