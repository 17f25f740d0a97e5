"""The one place that reads clocks."""

from __future__ import annotations

import time


class Clock:
    """`now` does not jump when the wall clock is set, and counts the time of a suspended host.

    It starts at the wall clock's time. Deadlines are judged by it, so that setting the clock ends no run.
    """

    def __init__(self) -> None:
        self._base = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def now(self) -> int:
        """Microseconds since 1970."""
        return (self._base + time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1000

    def stamp(self) -> int:
        """Nanoseconds since 1970 as the kernel stamps files: the wall clock, jumps included."""
        return time.time_ns()

    def drift(self) -> int:
        """How far the wall clock is ahead of `now`, microseconds; what setting it has added up to."""
        return time.time_ns() // 1000 - self.now()

    def follow(self) -> None:
        """Takes the wall clock's time again."""
        self.__init__()  # type: ignore[misc]
