"""A daemon's socket with answers that a test has written: for what a real one says only when it is in trouble."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Canned(NamedTuple):
    """`asked`: the first lines of the requests so far, as `GET /api/v1/health`."""

    socket: str
    asked: list[str]


@contextmanager
def canned(folder: Path, answers: Mapping[str, tuple[int, Any] | tuple[int, Any, str]]) -> Iterator[Canned]:
    """answers: by `GET /api/v1/health`, status and JSON, and perhaps the value of a Link header. Others are 404."""
    made = Canned(str(folder / "canned"), [])

    def serve() -> None:
        while True:
            try:
                end = server.accept()[0]
            except OSError:
                return
            with end, end.makefile("rb") as file:
                while line := file.readline():
                    length = 0
                    while (field := file.readline()) != b"\r\n":
                        name, _, value = field.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    file.read(length)
                    made.asked.append(line.decode().rpartition(" ")[0])
                    status, content, *link = answers.get(made.asked[-1], (404, {"message": f"none: {made.asked[-1]}"}))
                    text = json.dumps(content).encode()
                    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n"
                    head += f"Link: {link[0]}\r\n\r\n" if link else "\r\n"
                    end.sendall(head.encode() + text)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(made.socket)
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
