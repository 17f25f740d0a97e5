"""What ends a run early: Ctrl-C, SIGTERM, a closed terminal, the time limit.

The first of them raises StoppedError in the main thread, but only inside `limit`, and not inside `shield`: what
is being written down there is written down whole. Elsewhere it is noted, and raised at the next occasion.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runner.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StepTimeoutError(Exception):
    """A step of a flow took longer than it may."""


class Stop:
    """Takes the process's signals from its making on, for good. One a process, made in the main thread."""

    def __init__(self) -> None:
        self._reason: StoppedError | None = None
        self._armed = False
        self._seconds = 0.0
        for number in SIGNALS:
            # nohup leaves SIGHUP ignored, and means it.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._received)
        signal.signal(signal.SIGALRM, self._received)

    @property
    def interrupted(self) -> bool:
        return self._reason is not None and self._reason.kind == "interrupted"

    def forget(self) -> None:
        """What has come was for what is over now."""
        self._reason = None

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raises StoppedError within the block when a signal comes, or came before, or the time is over."""
        if not self.interrupted:
            self._reason = None
        self._seconds = seconds
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            with self._raising(True):
                self.check()
                yield
                self.check()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def step(self, seconds: float | None) -> Iterator[None]:
        """A part of the run with a limit of its own. Raises StepTimeoutError past that: the run itself goes on."""
        left = signal.getitimer(signal.ITIMER_REAL)[0]
        if seconds is None or seconds >= left:
            yield
            return
        began, run_seconds = time.monotonic(), self._seconds
        self._seconds = seconds
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
            self.check()
        except StoppedError as stopped:
            if stopped.kind != "timeout":
                raise
            self._reason = None
            raise StepTimeoutError(f"it took longer than its limit of {seconds:g} s") from None
        finally:
            self._seconds = run_seconds
            if self._reason is None:
                signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - began)))

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Nothing is raised within the block; what comes meanwhile is raised at its end."""
        with self._raising(False):
            yield
        self.check()

    @contextmanager
    def exposed(self) -> Iterator[None]:
        """Within a shield: a block that may take long, and may be interrupted."""
        with self._raising(True):
            self.check()
            yield

    def check(self) -> None:
        """Raises what has come. An exception that a signal raised in a library's callback can be lost; this is not."""
        if self._reason is not None:
            raise self._reason

    @contextmanager
    def _raising(self, armed: bool) -> Iterator[None]:
        before, self._armed = self._armed, armed
        try:
            yield
        finally:
            self._armed = before

    def _received(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._reason is not None:
            return
        if number == signal.SIGALRM:
            self._reason = StoppedError("timeout", f"the run took longer than its limit of {self._seconds:g} s")
        else:
            self._reason = StoppedError("interrupted", f"the run was interrupted by {signal.Signals(number).name}")
        if self._armed:
            raise self._reason
