"""A process that takes first looks for the engine: `python -m reevd.scout FOLDER SOCKET ANSWERS`, open descriptors.

Over the socket come requests, pickle after pickle. An answer is left in the file of answers, as a pickle at the place
that was asked for; its length, eight bytes, goes back. What cannot be looked at, or is found not ended, is missing:
the engine looks itself, and tells what is wrong. The process ends with whoever asks it.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys

from reevd.files import Folder
from reevd.first_look import first_looks, hello
from reevd.memory import calm


def serve(folder: Folder, end: socket.socket, answers: int) -> None:
    """Until nobody asks any more."""
    requests = end.makefile("rb")
    end.sendall(hello())
    while True:
        try:
            request = pickle.load(requests)  # noqa: S301 - the engine made it
            answer = memoryview(pickle.dumps(first_looks(folder, request), pickle.HIGHEST_PROTOCOL))
            written = 0
            while written < len(answer):
                written += os.pwrite(answers, answer[written:], request.place + written)
            end.sendall(len(answer).to_bytes(8))
        except (EOFError, pickle.UnpicklingError, ConnectionError):
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the engine ends this one
    calm()
    at, link, left = map(int, sys.argv[1:])
    serve(Folder(f"/proc/self/fd/{at}"), socket.socket(fileno=link), left)
