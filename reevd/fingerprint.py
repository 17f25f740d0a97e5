"""What tells one state of a file from another. Pure."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

SIGN = 1 << 63


def signed(number: int) -> int:
    """As SQLite keeps it, in 64 bits with a sign: a time past the year 2262 or an inode may have another bit."""
    return number if -SIGN <= number < SIGN else (number + SIGN) % (2 * SIGN) - SIGN


def mark(name: str, dev: int, ino: int, size: int, mtime_ns: int, ctime_ns: int) -> int:
    """See `Fingerprint.mark`: without one, for the scan of a folder with a million files."""
    if ino >= SIGN or mtime_ns >= SIGN:
        ino, mtime_ns = signed(ino), signed(mtime_ns)
    return hash((crc32(name.encode("utf-8", "surrogateescape")), dev, ino, size, mtime_ns, ctime_ns))


class Fingerprint(NamedTuple):
    """What changes when a file's content changes. ctime is there because mtime can be set at will.

    Each number is `signed`.
    """

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def mark(self, name: str) -> int:
        """Name and fingerprint as one signed 64-bit integer; equal for equal content in every process."""
        return mark(name, *self)

    def wait(self, began_ns: int, settle_ns: int) -> int | None:
        """How many nanoseconds must pass until a reading counts; None: one that began at `began_ns` does.

        Stamps are set before the bytes arrive, so a reading right after a change may have seen half of it.
        A stamp in the future proves nothing about the past, and costs one settle time.
        """
        age = began_ns - self.ctime_ns
        return None if age >= settle_ns else settle_ns - max(age, 0)
