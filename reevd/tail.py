"""Follow one telemetry file: read what was appended, notice when it is no longer the same file."""

from __future__ import annotations

from reevd.files import OpenFile
from reevd.fingerprint import Fingerprint
from reevd.otel_file import Telemetry

WINDOW = 4096
CALL_BYTES = 500  # of a call, beside its texts
MOST_LINES = 100_000  # at once, however short they are: each takes a microsecond, and others wait


class Tail:
    """The telemetry of one file and how far it was read.

    What was read is trusted while inode, the first and the last 4 KiB before the offset are as they were;
    else it is read again from the start. An edit in the middle of the file escapes that look, so the
    telemetry of a finished execution is read once more as a whole.
    """

    def __init__(self) -> None:
        self.reset()

    @property
    def held(self) -> int:
        """Bytes of memory, about."""
        telemetry = self.telemetry
        return telemetry.held + CALL_BYTES * len(telemetry.calls) + len(self._head) + len(self._window)

    def reset(self) -> None:
        self.telemetry = Telemetry()
        self._head = self._window = b""
        self._first: Fingerprint | None = None
        self._finished: Fingerprint | None = None
        self._reading_last = False

    def follow(self, file: OpenFile, budget: int, *, last: bool) -> bool:
        """Reads up to `budget` bytes more (at least twice MAX_LINE). Returns whether there may be yet more.

        last: the file has come to rest for good. What was read before that is read again, and what stands
        after the last newline is a line.
        """
        if last and self._finished == file.fingerprint:
            return False
        if self._finished or (last and not self._reading_last) or not self._continues(file):
            self.reset()
        self._reading_last = last
        if self._first is None:
            self._first = file.fingerprint
        seen = len(self._window)
        data = file.read(self.telemetry.consumed - seen, seen + budget)
        if data[:seen] != self._window:
            self.reset()
            return True
        more = len(data) == seen + budget
        while data.count(b"\n", seen) > MOST_LINES:
            half = (seen + len(data)) // 2
            # Behind a whole line: of less than one, nothing would be taken, now or ever.
            data, more = data[: data.rfind(b"\n", seen, half) + 1 or data.find(b"\n", half) + 1], True
        taken = self.telemetry.feed(data[seen:])
        if len(self._head) < WINDOW:
            self._head = (self._head + data[seen : seen + taken])[:WINDOW]
        self._window = data[: seen + taken][-WINDOW:]
        if last and not more:
            self.telemetry.close(data[seen + taken :])
            self._finished = file.fingerprint
        return more

    def _continues(self, file: OpenFile) -> bool:
        if self._first is None:
            return True
        first, now = self._first, file.fingerprint
        if (first.dev, first.ino) != (now.dev, now.ino) or now.size < self.telemetry.consumed:
            return False
        # While the whole is read in slices, nothing at all may change.
        if self._reading_last and first != now:
            return False
        return file.read(0, len(self._head)) == self._head
