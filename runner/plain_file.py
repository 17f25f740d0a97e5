"""A file that somebody names, read with bounds: nothing that waits for ever, nothing without an end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# What this process was handed: a pipe may stand there, and is read until its writer closes it.
HANDED = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")


def read(path: Path, most: int) -> bytes:
    """At most `most` + 1 bytes: one more tells that there is more. Raises OSError, also where it is no plain file."""
    if str(path).startswith(HANDED):
        with open(path, "rb") as file:
            return file.read(most + 1)
    # A FIFO would be waited for until somebody writes to it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no plain file")
        return file.read(most + 1)
