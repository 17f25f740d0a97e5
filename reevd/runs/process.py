"""A runner's process: its own session and process group, watched through a pidfd, found again after a restart."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

from reevd.runs.launch import MARK


class Runner(Protocol):
    """A runner at work, wherever it was started. Its descriptor is ready for reading when `ended` is worth a look."""

    def fileno(self) -> int: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def ended(self) -> bool: ...

    def signal(self, number: signal.Signals) -> None: ...

    def close(self) -> str: ...


class Process:
    """One runner. Ready for reading, as a descriptor, once it has ended.

    child   where it is a child of ours: then how it ended is known
    """

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        """Raises ProcessLookupError where it is gone."""
        self._pid, self._child = pid, child
        self._pidfd = os.pidfd_open(pid)

    def fileno(self) -> int:
        return self._pidfd

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def ended(self) -> bool:
        return bool(select.select([self._pidfd], [], [], 0)[0])

    def signal(self, number: signal.Signals) -> None:
        """To all of its group: what the runner started ends with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, number)

    def close(self) -> str:
        """Once it has ended: how, in words."""
        os.close(self._pidfd)
        return ending(self._child.wait()) if self._child else "its runner ended while reevd was restarted"

    def status(self) -> int:
        """Of a child of ours that has ended, as `subprocess` counts it: below zero, the signal that killed it."""
        assert self._child is not None
        return self._child.wait()


def ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"its runner ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal: only the first and the last of them have names
        name = f"signal {-status}"
    return f"its runner was killed by {name}"


def start(command: Sequence[str], environ: Mapping[str, str], stderr: int) -> Process:
    """Raises OSError where it cannot be started."""
    child = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    return Process(child.pid, child)


def find(execution_ids: Sequence[str]) -> dict[str, Process]:
    """The runners of these executions that are alive, by the mark in their environment: session leaders only."""
    wanted = {f"{MARK}={execution_id}".encode(): execution_id for execution_id in execution_ids}
    found: dict[str, Process] = {}
    for name in os.listdir("/proc") if wanted else ():
        if not name.isdigit():
            continue
        # It may end at any moment, and other users' processes are not ours to look at.
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/environ", "rb") as file:
                marks = wanted.keys() & set(file.read().split(b"\0"))
            if marks and os.getsid(int(name)) == int(name):
                found[wanted[marks.pop()]] = Process(int(name))
    return found
