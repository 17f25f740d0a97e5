"""Time: read once from the wall, then only ever forwards, so that a corrected clock cannot bend a run's durations."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The time of one run, in nanoseconds since 1970."""

    def __init__(self) -> None:
        self.started_at = time.time_ns()
        self._offset = self.started_at - time.monotonic_ns()

    def now(self) -> int:
        return time.monotonic_ns() + self._offset

    def elapsed_ms(self) -> int:
        return (self.now() - self.started_at) // 1_000_000


def rfc3339(nanos: int) -> str:
    """`2026-01-31T12:00:00.000000Z`, always with six decimals."""
    moment = EPOCH + timedelta(microseconds=nanos // 1000)
    return f"{moment.isoformat(timespec='microseconds').removesuffix('+00:00')}Z"
