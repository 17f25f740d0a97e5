"""The one place that reads clocks."""

from __future__ import annotations

import time
from functools import cache

TOLERATED = 2_000_000  # microseconds by which the wall clock may differ: slewing, not setting


class Clock:
    """`now` does not jump when the wall clock is set, and leaves out the time in which the host was suspended.

    It starts at the wall clock's time. Deadlines are judged by it: to set the clock ends no run, and neither does to
    suspend the host, where nobody could have written. Both are a step, after which it tells the wall clock's time.
    base: what the wall clock is ahead of the time that the host ran since boot, nanoseconds
    """

    def __init__(self) -> None:
        self.base = self._wall_base()

    def now(self) -> int:
        """Microseconds since 1970."""
        return (self.base + time.clock_gettime_ns(time.CLOCK_MONOTONIC)) // 1000

    def stamp(self) -> int:
        """Nanoseconds since 1970 as the kernel stamps files: the wall clock, jumps included."""
        return time.time_ns()

    def step(self) -> int:
        """Follows the wall clock where it was set: by how many microseconds it jumped, or 0."""
        jump = (self._wall_base() - self.base) // 1000
        if abs(jump) <= TOLERATED:
            return 0
        self.base += jump * 1000
        return jump

    @staticmethod
    @cache
    def boot() -> str:
        """This boot's id: the time since boot means nothing in another."""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()

    @staticmethod
    def _wall_base() -> int:
        return time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
