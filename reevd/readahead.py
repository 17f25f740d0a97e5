"""First looks taken ahead, by a second process, while the engine stores what that found before.

A first look that finds an execution ended is the same whoever takes it: only such are handed over. All others the
engine takes itself, and so all of them where there is no such process. Losing it costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Sequence

import structlog

from reevd.first_look import Answer, Request
from reevd.look import NO_LOOKS, Looks
from reevd.times import SECOND

# Microseconds: not asked for so long, it ends; when it failed, so long none is started.
IDLE, PAUSE = 3 * SECOND, 60 * SECOND
ANSWER_MS = 10_000  # a disk may take its time
PIPE_BYTES = 1 << 20  # what the kernel lets anybody have: most of an answer, so that the next one is begun


log = structlog.get_logger("reevd.readahead")


class ReadAhead:
    """At most one request is under way. `asked`: the executions that it is about.

    folder: the descriptor of the sessions folder
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._used_at = self._not_before = 0
        self._able = len(os.sched_getaffinity(0)) > 1  # on one core, two take longer than one
        self.asked: Sequence[str] = ()

    def ask(self, request: Request) -> bool:
        """Has these looked at; false where that cannot be had: look yourself."""
        if not self._able or request.now < self._not_before:
            return False
        try:
            process = self._process = self._process or self._start()
            assert process.stdin is not None
            pickle.dump(request, process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
        except OSError as error:
            self._fail(str(error), request.now)
            return False
        self._used_at, self.asked = request.now, request.execution_ids
        return True

    def answer(self, now: int) -> tuple[Sequence[str], Looks]:
        """What was asked for, with the looks that were taken; waits for them."""
        asked, self.asked = self.asked, ()
        if not asked or self._process is None:
            return asked, NO_LOOKS
        output = self._process.stdout
        assert output is not None
        try:
            poll = select.poll()
            poll.register(output, select.POLLIN)
            if not poll.poll(ANSWER_MS):
                raise TimeoutError(f"it did not answer for {ANSWER_MS / 1000:g} s")
            answer: Answer = pickle.load(output)  # noqa: S301 - our own process made it
            return asked, answer.looks()
        except EOFError:
            self._fail("it ended", now)
        except Exception as error:  # noqa: BLE001 - whatever it may be, the engine goes on without
            self._fail(f"{type(error).__name__}: {error}", now)
        return asked, NO_LOOKS

    def tidy(self, now: int) -> None:
        """Ends a process that has nothing to do."""
        if self._process and not self.asked and now - self._used_at > IDLE:
            self.close()

    def close(self) -> Sequence[str]:
        """Ends the process. Returns what it was still asked about, which nobody has looked at."""
        process, asked = self._process, self.asked
        self._process, self.asked = None, ()
        if process is not None:
            process.kill()  # it holds nothing that could be lost
            with contextlib.suppress(subprocess.TimeoutExpired):  # a disk that hangs keeps it
                process.wait(1)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what was not sent yet
                    pipe and pipe.close()
        return asked

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "reevd.scout", str(self._folder)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, pipesize=PIPE_BYTES, pass_fds=(self._folder,))

    def _fail(self, why: str, now: int) -> None:
        log.warning("reading ahead failed: going on without", error=why, again_in_seconds=PAUSE // SECOND)
        self.close()
        self._not_before = now + PAUSE
