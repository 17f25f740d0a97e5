"""Who goes first where there are fewer cores than work: whoever asks or writes, before whoever works through a pile."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

# A tenth of the weight of others: see sched(7). With more, the kernel puts who answers on one core with who writes.
NICE = 10


class Background:
    """A thread that works behind all others, while its caller waits. What it starts is as patient.

    It is a thread of its own, since nobody gets back without a special right what he gave up of his turn.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "background", _step_back)

    def do(self, work: Callable[[int], None], now: int, *, patiently: bool) -> None:
        """Raises what `work` raises. Not patiently, the caller's own thread works."""
        if patiently:
            self._thread.submit(work, now).result()
        else:
            work(now)

    def close(self) -> None:
        self._thread.shutdown()


def _step_back() -> None:
    with suppress(PermissionError):  # where a host forbids it, all go in turn
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
