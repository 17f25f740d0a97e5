"""What tells one state of a file from another. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from zlib import crc32

SIGN = 1 << 63


def signed(number: int) -> int:
    """As SQLite keeps it, in 64 bits with a sign: a time past the year 2262 or an inode may have another bit."""
    return number if -SIGN <= number < SIGN else (number + SIGN) % (2 * SIGN) - SIGN


class Fingerprint(NamedTuple):
    """What changes when a file's content changes. ctime is there because mtime can be set at will.

    Each number is `signed`.
    """

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def wait(self, began_ns: int, settle_ns: int) -> int | None:
        """How many nanoseconds must pass until a reading counts; None: one that began at `began_ns` does.

        Stamps are set before the bytes arrive, so a reading right after a change may have seen half of it.
        A stamp in the future proves nothing about the past, and costs one settle time.
        """
        age = began_ns - self.ctime_ns
        return None if age >= settle_ns else settle_ns - max(age, 0)

    def mark(self, name: str) -> int:
        """Name and fingerprint as one signed 64-bit integer; equal for equal content in every process."""
        return mark(name, *self)


def mark(name: str, *fields: int) -> int:
    """Of a file of that name with these fields of a Fingerprint, in their order."""
    return hash((crc32(name.encode("utf-8", "surrogateescape")), *fields))


def marks(names: Sequence[str], found: Sequence[Any]) -> list[int]:
    """The marks of files in these states (`os.stat_result`), without a record for each of what may be a million."""
    return [
        hash((crc32(n.encode("utf-8", "surrogateescape")), s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns))
        if s.st_ino < SIGN and -SIGN <= s.st_mtime_ns < SIGN
        else fingerprint(s).mark(n)
        for n, s in zip(names, found, strict=True)
    ]


def fingerprint(status: Any) -> Fingerprint:
    """Of a file in that state: an `os.stat_result`."""
    ino, mtime_ns = signed(status.st_ino), signed(status.st_mtime_ns)
    return Fingerprint(status.st_dev, ino, status.st_size, mtime_ns, status.st_ctime_ns)
