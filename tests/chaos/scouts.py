"""The processes that look ahead, forked from a warm one: to start each anew takes longer than its engine lives."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket

from reevd.files import Folder
from reevd.scout import serve

PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """As much of subprocess.Popen as reevd uses."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)

    def wait(self, _seconds: float) -> None:
        os.waitpid(self._pid, 0)


def fork(passed: tuple[int, int, int]) -> Forked:
    """The same process as the real one, and like it with no more descriptors than it is handed."""
    if pid := os.fork():
        return Forked(pid)
    try:
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor > 2 and descriptor not in passed:
                with contextlib.suppress(OSError):  # the listing's own
                    os.close(descriptor)
        folder, end, answers = passed
        serve(Folder(f"/proc/self/fd/{folder}"), socket.socket(fileno=end), answers)
    finally:
        os._exit(0)


def adopt() -> None:
    """Those whose engine was killed become children of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bury() -> None:
    """Takes note of the ends of those."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
