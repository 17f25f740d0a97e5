"""A process that takes first looks: `python -m reevd.scout FOLDER`, with requests on its input, answers on its output.

FOLDER is an open descriptor; both ways, pickle after pickle. It ends with whoever asks it. What it cannot look at, or
finds not ended, is missing in its answer: the engine looks itself, and tells what is wrong.
"""

from __future__ import annotations

import pickle
import signal
import sys
from typing import BinaryIO

from reevd.files import Folder
from reevd.first_look import first_looks
from reevd.memory import calm


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
