"""What ends a run early: Ctrl-C, SIGTERM, a closed terminal, the time limit.

Inside `limit` a signal raises StoppedError in the main thread, once; outside it is only noted, so that what is
being written is written whole.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from runner.errors import StoppedError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raises StoppedError within the block when a signal comes, or came before, or the time is over."""
        if not self.interrupted:
            self._reason = None
        self._seconds = seconds
        self._armed = True
        try:
            self.check()
            signal.setitimer(signal.ITIMER_REAL, seconds)
            yield
            self.check()
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def check(self) -> None:
        """Raises what has been received. An exception in a callback of a library can be lost; this is not."""
        if self._reason is not None:
            raise self._reason

    def _received(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGALRM:
            reason = StoppedError("timeout", f"the run took longer than its limit of {self._seconds:g} s")
        else:
            reason = StoppedError("interrupted", f"the run was interrupted by {signal.Signals(number).name}")
        self._reason = self._reason or reason
        if self._armed:
            self._armed = False
            raise self._reason
