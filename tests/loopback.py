"""A web server on the loopback that a test watches: what it was sent, and what it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Got(NamedTuple):
    """One request; `at` on the clock that nobody can set."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Loopback:
    """`answers`: the statuses of the next answers, and then 200 for ever."""

    def __init__(self) -> None:
        self.address = ""
        self.got: list[Got] = []
        self.answers: list[int] = []


@contextmanager
def listening(
    handler: type[BaseHTTPRequestHandler], server: type[ThreadingHTTPServer] = ThreadingHTTPServer, *, port: int = 0
) -> Iterator[str]:
    """Its address, for as long as it answers."""
    with server(("127.0.0.1", port), handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


@contextmanager
def loopback(port: int = 0) -> Iterator[Loopback]:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = made.answers.pop(0) if made.answers else 200
            if status == 200:
                made.got.append(Got(self.path, dict(self.headers), body, time.monotonic()))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """A test's output is no place for it."""

    made = Loopback()
    with listening(Receiver, port=port) as made.address:
        yield made
