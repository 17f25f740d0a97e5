"""Who goes first where there are fewer cores than work: whoever asks or writes, before whoever works through a pile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

# The least weight there is, see sched(7). Any more, and who answers waits for whole turns of this, or of who writes.
NICE = 19
# Seconds: whose work took so long hardly gets a turn, and does without patience for a while.
PATIENCE, HASTE = 3.0, 30.0


class Background:
    """A thread that works behind all others, while its caller waits. What it starts is as patient.

    It is a thread of its own, since nobody gets back without a special right what he gave up of his turn.
    """

    def __init__(self) -> None:
        self._hurries_until = 0.0
        self._thread = ThreadPoolExecutor(1, "background", _step_back)

    def do(self, work: Callable[[int], None], now: int, *, patiently: bool) -> None:
        """Raises what `work` raises. Not patiently, the caller's own thread works."""
        began = time.monotonic()
        if not patiently or began < self._hurries_until:
            work(now)
            return
        self._thread.submit(work, now).result()
        ended = time.monotonic()
        if ended - began > PATIENCE:
            self._hurries_until = ended + HASTE

    def close(self) -> None:
        self._thread.shutdown()


def _step_back() -> None:
    with suppress(PermissionError):  # where a host forbids it, all go in turn
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
