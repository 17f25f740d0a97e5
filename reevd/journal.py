"""The journal: what no file of the sessions folder says, and finished results, appended and synced.

One line a record: eight hex digits of CRC-32, a space, a JSON object. The database can be rebuilt from it
and the folder alone. Records are whole or absent: a torn end is cut off when the journal is next opened.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

OPEN = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
LOST = 1 << 62
"""Known in the place of its size where it lacks what was in it: no journal has so much."""


class Journal:
    """Append-only. `size` is the offset behind the last whole record. Raises OSError as the disk does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.unreadable = 0
        self._descriptor = os.open(path, OPEN | os.O_CREAT, 0o600)
        try:
            self.size = self._whole_end()
            os.ftruncate(self._descriptor, self.size)
            self._left, self._spoilt = _state(os.fstat(self._descriptor)), False
        except OSError:
            os.close(self._descriptor)
            raise
        self._copy: int | None = None

    @property
    def known(self) -> int:
        """What the database is to know of its size."""
        return LOST if self._spoilt else self.size

    @property
    def intact(self) -> bool:
        """Whether what stands at its path is this journal, and nobody else has written to it."""
        try:
            return not self._spoilt and _state(os.stat(self.path)) == self._left
        except OSError:
            return False

    def spoil(self) -> None:
        """It is known to lack what was in it."""
        self._spoilt = True

    def _look(self) -> None:
        """Before it is changed here: what others did would not be seen after it."""
        status = os.fstat(self._descriptor)
        self._spoilt |= _state(status) != self._left
        self.size = min(self.size, status.st_size)

    def copy_to(self, descriptor: int | None) -> None:
        """What is appended from now on goes there too."""
        self._copy = descriptor

    @property
    def copied(self) -> bool:
        """Whether all did that was appended since that was asked for."""
        return self._copy is not None

    def close(self) -> None:
        os.close(self._descriptor)

    def append(self, records: Iterable[dict[str, Any]], made: Iterable[bytes] = ()) -> int:
        """Writes and syncs the records, and lines that were made before. Returns what is to be known of its size.

        On OSError none of them counts.
        """
        lines = b"".join((*map(line_of, records), *made))
        if not lines:
            return self.known
        self._look()
        # A failed append may have left a torn line that could not be cut off then.
        os.ftruncate(self._descriptor, self.size)
        try:
            write_all(self._descriptor, lines)
            os.fdatasync(self._descriptor)
            self.size += len(lines)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        finally:
            self._left = _state(os.fstat(self._descriptor))
        if self._copy is not None:
            try:
                write_all(self._copy, lines)
            except OSError:
                self._copy = None
        return self.known

    def cut(self, size: int) -> None:
        """Takes back what was appended since; where the disk does not let it, the next append does."""
        back, self.size = self.size - size, size
        with contextlib.suppress(OSError):
            self._look()
            os.ftruncate(self._descriptor, self.size)
            self._left = _state(os.fstat(self._descriptor))
        if back > 0 and self._copy is not None:
            try:
                os.ftruncate(self._copy, os.fstat(self._copy).st_size - back)
            except OSError:
                self._copy = None

    def replay(self, offset: int) -> Iterator[dict[str, Any]]:
        """The records from `offset` on. A line that is damaged is passed over and counted in `unreadable`."""
        # Through the open descriptor: the name may lead elsewhere by now. Appends do not care for its position.
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                if offset > self.size:  # what was taken back, where the disk did not let it be cut off
                    break
                record = record_of(line)
                if record is None:
                    self.unreadable += 1
                else:
                    yield record

    def lines(self, offset: int, most: int) -> tuple[list[bytes], int]:
        """Whole lines from `offset` on, about `most` bytes of them, and the offset behind the last."""
        text = os.pread(self._descriptor, min(most, self.size - offset), offset)
        while b"\n" not in text and offset + len(text) < self.size:
            more = os.pread(self._descriptor, min(most, self.size - offset - len(text)), offset + len(text))
            if not more:
                raise OSError(f"{self.path} is shorter than it was")
            text += more
        text = text[: text.rfind(b"\n") + 1]
        return text.splitlines(keepends=True), offset + len(text)

    def become(self, path: str) -> None:
        """The file at `path`, which is on the disk, takes this one's place."""
        descriptor = os.open(path, OPEN)
        try:
            os.rename(path, self.path)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        status = os.fstat(descriptor)
        self._descriptor, self.size, self._left = descriptor, status.st_size, _state(status)
        self._spoilt, self._copy = True, None  # until the folder's own entry is on the disk
        folder = os.open(os.path.dirname(self.path) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
            self._spoilt = False
        finally:
            os.close(folder)

    def _whole_end(self) -> int:
        """Behind the last newline; a torn append has none, since it is the last byte of each record."""
        end = os.fstat(self._descriptor).st_size
        while end:
            begin = max(0, end - 65536)
            newline = os.pread(self._descriptor, end - begin, begin).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            end = begin
        return 0


def write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Raises OSError where not all of it was written."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def line_of(record: dict[str, Any]) -> bytes:
    """The record as it stands in the journal."""
    text = orjson.dumps(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def record_of(line: bytes) -> dict[str, Any] | None:
    """The record of a line; None where the line is damaged."""
    text = line[9:-1]
    if len(line) < 11 or line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        record = orjson.loads(text)
    except ValueError:  # the text was damaged in the database that it came from
        return None
    return record if isinstance(record, dict) else None
