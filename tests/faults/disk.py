"""A disk that fails when told: full, broken, or without power. It knows what of each file was synced.

The files themselves are written as ever, so that other connections see them. What a power cut leaves is worked
out from what was synced and a random choice of what was written since, and put in their place.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["full", "io", "read", "power"]
Operation = Literal["open", "read", "write", "sync", "truncate", "delete", "rename"]

KINDS: tuple[Kind, ...] = ("full", "io", "read", "power")
# Which kinds may strike which operation.
STRIKES: dict[Operation, tuple[Kind, ...]] = {
    "open": ("full", "io", "power"),
    "read": ("read",),
    "write": ("full", "io", "power"),
    "sync": ("io", "power"),
    "truncate": ("io", "power"),
    "delete": ("io", "power"),
    "rename": ("io", "power"),
}


class Fault(NamedTuple):
    """The `at`-th operation (from 1) that `kind` may strike fails, and those after it; or the first once it may begin.

    lasting: how many fail in a row; 0: all until somebody makes room or mends the disk
    """

    kind: Kind
    at: int
    lasting: int = 1
    seed: int = 0


class Inode:
    """One file: its content, how much of it is safe, and what was done to it since."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.safe = content
        self.since: list[tuple[int, bytes | None]] = []

    def write(self, offset: int, data: bytes) -> None:
        _write(self.content, offset, data)
        self.since.append((offset, data))

    def truncate(self, size: int) -> None:
        _truncate(self.content, size)
        self.since.append((size, None))

    def sync(self) -> None:
        self.safe = bytes(self.content)
        self.since = []

    def left(self, dice: random.Random, piece: int, kept: float) -> bytes:
        """What a power cut leaves: each piece of each write since the last sync is there or is not."""
        content = bytearray(self.safe)
        for offset, data in self.since:
            if data is None:
                if dice.random() < kept:
                    _truncate(content, offset)
                continue
            start = 0
            while start < len(data):
                end = min(len(data), start + piece - (offset + start) % piece)
                if dice.random() < kept:
                    _write(content, offset + start, data[start:end])
                start = end
        return bytes(content)


class Disk:
    """Counts the operations and says which of them fail.

    fault   the one that strikes next or is under way; each begins only once the one before it is over
    counts  how many operations each kind of fault could have struck so far, while armed
    struck  how many faults began, and hits: how many operations failed
    dead    true once the power is gone: nothing is written any more
    """

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._waiting = list(faults)
        self._began: int | None = None
        self.counts: Counter[Kind] = Counter()
        self.struck = self.hits = 0
        self.armed = self.dead = False
        self.dice = random.Random(faults[0].seed if faults else 0)
        # Per path, what it may lead to after a power cut: the first for certain, unless a later one got through.
        self._entries: dict[str, list[Inode | None]] = {}

    def fails(self, operation: Operation) -> bool:
        """Whether this operation, which is counted by asking, fails."""
        if self.dead:
            return operation != "read"
        kinds = STRIKES[operation]
        if not self.armed:
            return False
        for kind in kinds:
            self.counts[kind] += 1
        fault = self.fault
        if fault is None or fault.kind not in kinds:
            return False
        count = self.counts[fault.kind]
        if self._began is None:
            if count < fault.at:
                return False
            self._began = count
            self.struck += 1
        if fault.lasting and count >= self._began + fault.lasting:
            self.mend()
            return False
        self.hits += 1
        self.dead = fault.kind == "power"
        return True

    @property
    def fault(self) -> Fault | None:
        return self._waiting[0] if self._waiting else None

    @property
    def failing(self) -> bool:
        """Whether the disk fails now and will until it is mended."""
        return self.fault is not None and self._began is not None and self.fault.lasting == 0

    def mend(self) -> None:
        """The fault is over."""
        del self._waiting[:1]
        self._began = None

    def hasten(self) -> None:
        """What has not begun yet begins with the next operation."""
        if self._began is None:
            self._waiting[:1] = [fault._replace(at=0) for fault in self._waiting[:1]]

    # -- what stands where -----------------------------------------------------------------------------------

    def inode(self, path: str) -> Inode:
        """The file of that name, made where there is none."""
        if path not in self._entries:
            self._entries[path] = [Inode(_content(path)) if os.path.exists(path) else None]
        entries = self._entries[path]
        if entries[-1] is None:
            entries.append(Inode(b""))
        found = entries[-1]
        assert found is not None
        return found

    def sync(self, path: str, inode: Inode) -> None:
        """Its content and its name are safe."""
        inode.sync()
        entries = self._entries.get(path, [])
        if inode in entries:
            self._entries[path] = entries[entries.index(inode) :]

    def delete(self, path: str, *, synced: bool) -> None:
        entries = self._entries.setdefault(path, [])
        self._entries[path] = [None] if synced else [*entries, None]

    def rename(self, old: str, new: str) -> None:
        self._entries[new] = self._entries.pop(old, [])[-1:]
        self._entries[old] = [None]

    def forget(self, path: str) -> None:
        """Somebody else replaced or removed the file, and synced that."""
        self._entries.pop(path, None)

    def restart(self) -> None:
        """Puts what the power cut left in the place of the files. The power is back, the fault over."""
        piece = self.dice.choice((512, 4096))
        kept = self.dice.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for path, entries in self._entries.items():
            if not entries:
                continue
            entry = entries[-1] if self.dice.random() < 0.7 else self.dice.choice(entries)
            if entry is not None:
                with open(path, "wb") as file:
                    file.write(entry.left(self.dice, piece, kept))
            elif os.path.exists(path):
                os.unlink(path)
        self._entries.clear()
        self.dead = False
        self.mend()


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _truncate(content: bytearray, size: int) -> None:
    if size <= len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))
