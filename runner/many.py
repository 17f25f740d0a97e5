"""Many executions: each by a process of its own kind, so that what breaks one leaves the others alone.

The workers are forked from this process once everything is loaded, and each takes one execution after another.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from runner.stop import Stop

LOOK_SECONDS = 0.2
FORK = multiprocessing.get_context("fork")


class Done(NamedTuple):
    """One that is over. `told`: as `Ended.to_json`, with `hint` and `text`; or what is known where its process died."""

    number: int
    told: dict[str, Any]


class _Worker:
    def __init__(self, execute: Callable[[int], dict[str, Any]], stop: Stop) -> None:
        self.connection, theirs = FORK.Pipe()
        self.number = -1
        self._process = FORK.Process(target=_work, args=(theirs, execute, stop, os.getpid()), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, number: int) -> None:
        self.number = number
        with contextlib.suppress(OSError):  # it may have died meanwhile: `take` tells
            self.connection.send(number)

    def take(self) -> dict[str, Any] | None:
        """What it did; None where it has died."""
        try:
            found: dict[str, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return found

    def interrupt(self) -> None:
        if self._process.pid:
            os.kill(self._process.pid, signal.SIGTERM)

    def end(self) -> str:
        """How it ended, in words."""
        with contextlib.suppress(OSError):  # it may have died
            self.connection.send(None)
        self.connection.close()
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        return f"its process {how}"


def _work(connection: Connection, execute: Callable[[int], dict[str, Any]], stop: Stop, parent: int) -> None:
    """Until it is told None, or whoever forked it is gone: its brothers hold the pipe open, so that it has no end."""
    while os.getppid() == parent:
        if not connection.poll(LOOK_SECONDS):
            continue
        index = connection.recv()
        if index is None:
            return
        connection.send(execute(index))
        stop.forget()  # a signal to this process alone was for that one execution


def run(count: int, jobs: int, execute: Callable[[int], dict[str, Any]], stop: Stop) -> Iterator[Done]:
    """Executes 0 to `count` - 1, `jobs` at once, and yields each as it ends. Interrupted, it begins no more."""
    waiting = deque(range(count))
    idle = [_Worker(execute, stop) for _ in range(min(jobs, count))]
    busy: dict[Connection, _Worker] = {}
    told = False
    try:
        while waiting or busy:
            while waiting and idle and not stop.interrupted:
                worker = idle.pop()
                worker.give(waiting.popleft())
                busy[worker.connection] = worker
            if stop.interrupted:
                waiting.clear()
                if not told:
                    told = True
                    for worker in busy.values():
                        worker.interrupt()
            for connection in wait(list(busy), LOOK_SECONDS):
                assert isinstance(connection, Connection)
                worker = busy.pop(connection)
                number, found = worker.number, worker.take()
                if found is None:
                    hint = "its session has no result; run it again"
                    found = {"exit_status": 1, "died": worker.end(), "hint": hint}
                    worker = _Worker(execute, stop)
                idle.append(worker)
                yield Done(number, found)
    finally:
        for worker in (*idle, *busy.values()):
            worker.end()


def in_order(done: Iterator[Done]) -> Iterator[Done]:
    """The same in the order in which they were asked for."""
    ready: dict[int, Done] = {}
    following = 0
    for each in done:
        ready[each.number] = each
        while following in ready:
            yield ready.pop(following)
            following += 1
    yield from (ready[index] for index in sorted(ready))


def failed(statuses: Sequence[int]) -> int:
    """The exit status of all of them: where several failed in different ways, what they share is that they failed."""
    found = {status for status in statuses if status}
    return found.pop() if len(found) == 1 else len(found) and 1
