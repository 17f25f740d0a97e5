"""A process that takes first looks: `python -m reevd.scout FOLDER`, with requests on its input, answers on its output.

FOLDER is an open descriptor; both ways, pickle after pickle. It ends with whoever asks it. What it cannot look at, or
finds not ended, is missing in its answer: the engine looks itself, and tells what is wrong.
"""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from reevd.bounds import Bounds
from reevd.derive import Limits
from reevd.files import Folder
from reevd.look import NO_LOOKS, Looks, look
from reevd.memory import calm
from reevd.reader import Reader


class Request(NamedTuple):
    """Which executions to look at, and what `look` needs beside their files."""

    execution_ids: Sequence[str]
    now: int
    stamp: int
    limits: Limits
    bounds: Bounds


def first_looks(folder: Folder, request: Request) -> Looks:
    """Of the looks those that found an end."""
    ids, now, stamp, limits, bounds = request
    looks = look(Reader(folder, bounds), ids, now, stamp, limits=limits, may_judge=False)
    ended = [
        change
        for change in looks.changes
        if change.execution is not None
        and change.execution.terminal
        and not change.problems
        and looks.again.get(change.execution_id) != 0
    ]
    return NO_LOOKS._replace(changes=ended, again=looks.again)


def serve(folder: Folder, requests: BinaryIO, answers: BinaryIO) -> None:
    """Until there are no more requests, or nobody takes the answers."""
    while True:
        try:
            request = pickle.load(requests)  # noqa: S301 - the engine made it
            pickle.dump(first_looks(folder, request), answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except (EOFError, pickle.UnpicklingError, BrokenPipeError):
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the engine ends this one
    calm()
    serve(Folder(f"/proc/self/fd/{int(sys.argv[1])}"), sys.stdin.buffer, sys.stdout.buffer)
