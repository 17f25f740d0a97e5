"""Who goes first where there are fewer cores than work: whoever asks or writes, before whoever works through a pile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

# The least weight there is, see sched(7). Any more, and who answers waits for whole turns of this, or of who writes.
NICE = 19
# Whoever got less than this share of so many seconds hardly gets a turn, and does without patience for a while.
SHARE, PATIENCE, HASTE = 0.05, 1.0, 30.0
# And so does everybody where more than so many want each core, on the average of the last minute.
FULL = 4


class Background:
    """A thread that works behind all others, while its caller waits. What it starts is as patient.

    It is a thread of its own, since nobody gets back without a special right what he gave up of his turn.
    """

    def __init__(self) -> None:
        self._hurries_until = self._took = self._worked = 0.0
        self._thread: ThreadPoolExecutor | None = None
        self._cores = len(os.sched_getaffinity(0))

    def do(self, work: Callable[[int], None], now: int, *, patiently: bool) -> None:
        """Raises what `work` raises. Not patiently, the caller's own thread works."""
        began = time.monotonic()
        patiently = patiently and began >= self._hurries_until and _waiting() <= FULL * self._cores
        if patiently and self._thread is None:
            self._thread = _thread()
        if not patiently or self._thread is None:
            work(now)
            return
        try:
            self._thread.submit(self._do, work, now).result()
        finally:
            ended = time.monotonic()
            self._took += ended - began
            if self._took > PATIENCE:
                if self._worked < SHARE * self._took:
                    self._hurries_until = ended + HASTE
                self._took = self._worked = 0.0

    def _do(self, work: Callable[[int], None], now: int) -> None:
        began = time.thread_time()
        try:
            work(now)
        finally:
            self._worked += time.thread_time() - began

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()


def _thread() -> ThreadPoolExecutor | None:
    """It lives from now on; None where no thread can be had."""
    thread = ThreadPoolExecutor(1, "background", _step_back)
    with suppress(RuntimeError):
        thread.submit(int)
        return thread
    return None


def _waiting() -> float:
    """How many want a core, on the average of the last minute."""
    try:
        return os.getloadavg()[0]
    except OSError:  # a host may hide it: then only what this process gets itself tells how full it is
        return 0.0


def _step_back() -> None:
    with suppress(PermissionError):  # where a host forbids it, all go in turn
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
