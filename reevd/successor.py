"""What is to take the journal's place: a file beside it, under another name until it is whole."""

from __future__ import annotations

import contextlib
import os

from reevd.journal import Journal, write_all
from reevd.store import Store

NEW = ".new"
LONGEST = 64 << 20  # of a slice


def longer(size: int) -> int:
    """The next slice, where what comes meanwhile must not be faster: bytes."""
    return min(2 * size, LONGEST)


class Successor:
    """`write` until all is there, then `take_place`; or `discard`. Raises OSError and apsw.Error as the disk does."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self.path, self._placed = journal, journal.path + NEW, False
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, lines: bytes | bytearray) -> None:
        write_all(self.descriptor, lines)

    def take_place(self, store: Store, meanwhile: int) -> None:
        """`meanwhile`: what the database says of the journal's size until that is done.

        On the disk first: what it said before would lead into the middle of the new one.
        """
        os.fsync(self.descriptor)
        store.note("journal_size", meanwhile, durably=True)
        self._journal.become(self.path)
        store.note("journal_size", self._journal.size, durably=True)
        os.close(self.descriptor)
        self._placed = True

    def discard(self) -> None:
        with contextlib.suppress(OSError):  # it took its place, or the disk takes nothing: what is left goes at a start
            os.unlink(self.path)
        if not self._placed:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)
