"""First looks taken ahead, by a second process, while the engine stores what that found before.

It costs nothing but time to lose that process, or to have none: then the engine takes those looks itself.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from reevd.change import NO_FIRST_LOOKS, FirstLooks
from reevd.first_look import HELLO_BYTES, Request, hello
from reevd.times import SECOND

# How many requests are under way at most: enough that neither waits for the other while one of them takes longer.
DEPTH = 3
# Microseconds: not asked for so long, it ends; after a failure, so long none is started.
IDLE, PAUSE = SECOND, 60 * SECOND
ANSWER_SECONDS = 2.0  # then it hardly gets a turn, or the disk takes its time: alone, the engine at least goes on
PLACE = 1 << 32  # bytes between two answers, of which a file in memory takes those that are written

log = structlog.get_logger("reevd.readahead")


def start(passed: tuple[int, int, int]) -> subprocess.Popen[bytes]:
    """The process that takes the looks; it is handed the folder, its end of the socket, and the file of answers."""
    command = [sys.executable, "-m", "reevd.scout", *map(str, passed)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=passed)


class _Scout:
    """The process; the file in memory that it leaves answers in, of which no pipe would hold one."""

    def __init__(self, folder: int) -> None:
        self._begun = False
        with contextlib.ExitStack() as opened:
            self._end, end = map(opened.enter_context, socket.socketpair())
            self._end.settimeout(ANSWER_SECONDS)
            self._answers = os.memfd_create("reevd-looks")
            opened.callback(os.close, self._answers)
            self._process = start((folder, end.fileno(), self._answers))
            end.close()
            self._open = opened.pop_all()

    def ready(self) -> bool:
        """Whether it has begun: to load what it needs takes as long as a thousand looks."""
        if not self._begun:
            poll = select.poll()
            poll.register(self._end, select.POLLIN)
            if poll.poll(0):
                told = self._end.recv(HELLO_BYTES, socket.MSG_WAITALL)
                if told != hello():
                    raise EOFError("another version is installed by now: restart reevd" if told else "it did not start")
                self._begun = True
        return self._begun

    def ask(self, request: Request) -> None:
        self._end.sendall(pickle.dumps(request, pickle.HIGHEST_PROTOCOL))

    def answer(self, place: int) -> FirstLooks:
        told = self._end.recv(8, socket.MSG_WAITALL)
        if len(told) < 8:
            raise EOFError("it ended")
        looks: FirstLooks = pickle.loads(os.pread(self._answers, int.from_bytes(told), place))  # noqa: S301 - it is ours
        return looks

    def close(self) -> None:
        self._process.kill()  # it holds nothing that could be lost
        with contextlib.suppress(subprocess.TimeoutExpired):  # a disk that hangs keeps it
            self._process.wait(1)
        self._open.close()


class _Asked(NamedTuple):
    of: _Scout
    place: int
    execution_ids: Sequence[str]
    stamp: int
    outdated: set[str]


class ReadAhead:
    """`folder`: the descriptor of the sessions folder. What is asked for is answered in its order.

    waited: seconds for the last answer
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._scout: _Scout | None = None
        self._asked: deque[_Asked] = deque()
        self._count = self._used_at = self._not_before = 0
        self.waited = 0.0
        self._able = len(os.sched_getaffinity(0)) > 1  # on one core, two take longer than one

    def __len__(self) -> int:
        """How many executions are looked at by now."""
        return sum(len(asked.execution_ids) for asked in self._asked)

    @property
    def asked(self) -> dict[str, int]:
        """The executions that are looked at by now, with the time at which that was asked for, nanoseconds."""
        return {execution_id: asked.stamp for asked in self._asked for execution_id in asked.execution_ids}

    def room(self, now: int) -> bool:
        """Whether more can be asked for; where the process is not there yet, it is started, and there is no room."""
        if not self._able or len(self._asked) >= DEPTH or now < self._not_before:
            return False
        self._used_at = now
        try:
            self._scout = self._scout or _Scout(self._folder)
            return self._scout.ready()
        except (OSError, EOFError) as error:
            self._fail(error, now)
            return False

    def ask(self, request: Request) -> bool:
        """Has these looked at, where there is room; false where that failed: look yourself."""
        place = self._count % DEPTH * PLACE
        try:
            assert self._scout is not None
            self._scout.ask(request._replace(place=place))
        except OSError as error:
            self._fail(error, request.now)
            return False
        self._count += 1
        self._asked.append(_Asked(self._scout, place, request.execution_ids, request.stamp, set()))
        return True

    def answer(self, now: int) -> tuple[Sequence[str], FirstLooks]:
        """What was asked for first, with the looks that were taken; waits for them. Nothing where nothing was asked."""
        if not self._asked:
            return (), NO_FIRST_LOOKS
        asked, looks = self._asked.popleft(), NO_FIRST_LOOKS
        began = time.perf_counter()
        try:
            if asked.of is self._scout:  # and of none that took its place
                looks = asked.of.answer(asked.place).without(asked.outdated)
        except Exception as error:  # noqa: BLE001 - whatever it may be, the engine goes on without
            self._fail(error, now)
        self.waited = time.perf_counter() - began
        return asked.execution_ids, looks

    def outdate(self, execution_ids: Sequence[str]) -> None:
        """The engine looks at these itself by now: what is under way of them is older, and no longer wanted."""
        if self._asked:
            seen = set(execution_ids)
            for asked in self._asked:
                asked.outdated.update(seen.intersection(asked.execution_ids))

    def tidy(self, now: int) -> None:
        """Ends a process that has nothing to do."""
        if self._scout and not self._asked and now - self._used_at > IDLE:
            self._end()

    def close(self) -> list[str]:
        """Ends the process. Returns what it was asked for and nobody has looked at."""
        self._end()
        left = list(self.asked)
        self._asked.clear()
        return left

    def _fail(self, error: Exception, now: int) -> None:
        """What was asked for beside is answered without a look."""
        why = str(error) or type(error).__name__
        log.warning("reading ahead failed: going on without", error=why, again_in_seconds=PAUSE // SECOND)
        self._end()
        self._not_before = now + PAUSE

    def _end(self) -> None:
        if self._scout is not None:
            self._scout.close()
            self._scout = None
