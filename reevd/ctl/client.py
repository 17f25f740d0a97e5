"""A client for the daemon's socket, small enough that a command starts at once. Imports nothing of the daemon."""

from __future__ import annotations

import json
import os
import socket
import time

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO

DEFAULTS = ("logs/state/reevd.sock", "/run/reevd/reevd.sock")
TIMEOUT_SECONDS = 30.0
SYNC_SECONDS = 600.0
RESTART_SECONDS, PAUSE_SECONDS = 5.0, 0.02


class UnreachableError(Exception):
    """No daemon answers on the socket. `sent`: it was asked, so what was asked for may be done all the same."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent, self.hint = sent, ""


class Answer:
    """`again`: an earlier answer to the same question was lost, so this one may speak of what that one did.

    next: the path of the next page, as a Link header names it; else empty
    """

    def __init__(self, status: int, text: bytes, link: str = "") -> None:
        self.status, self.text, self.again = status, text, False
        _, _, path = link.partition("<")[2].partition(">")[0].partition("://")[2].partition("/")
        self.next = f"/{path}" if path else ""

    def json(self) -> Any:
        return json.loads(self.text)


def places(given: str | None) -> tuple[str, ...]:
    """Where a daemon's socket may be: as given, else REEVD_SOCKET, else the checkout's, then the host's."""
    named = given or os.environ.get("REEVD_SOCKET")
    return (named,) if named else DEFAULTS


def find_socket(given: str | None) -> str:
    """The socket to ask: the first that is there, else the first of all."""
    several = places(given)
    return next((path for path in several if os.path.exists(path)), several[0])


def part(text: str) -> str:
    """Text as one part of a path."""
    if text.isascii() and text.replace("-", "").isalnum():  # as nearly all ids are
        return text
    from urllib.parse import quote

    return quote(text, safe="")


class Client:
    """One connection, kept alive between requests and made anew when the daemon was restarted."""

    def __init__(self, path: str, connect: Callable[[str, float], socket.socket] | None = None) -> None:
        self.path = path
        self._connect = connect or _connect
        self._end: socket.socket | None = None
        self._last = False

    def get(self, path: str) -> Answer:
        return self.request("GET", path, TIMEOUT_SECONDS)

    def post(self, path: str, body: object = None) -> Answer:
        return self.request("POST", path, SYNC_SECONDS, json.dumps(body).encode() if body is not None else b"")

    def request(self, method: str, path: str, seconds: float, body: bytes = b"") -> Answer:
        """Raises UnreachableError, at once where nothing listens.

        A question that was broken off is asked again, for as long as a daemon takes to restart. It may have been
        heard before: whoever asks for a change has to tell, by `again`, an answer to the first from one to the next.
        """
        patience, sent = time.monotonic() + RESTART_SECONDS, False
        while True:
            try:
                answer = self._ask(method, path, seconds, body)
            except (OSError, EOFError) as error:
                listened = self._end is not None
                sent = sent or listened
                self.close()
                if not listened or isinstance(error, TimeoutError) or time.monotonic() > patience:
                    why = str(error) or "the daemon closed the connection"
                    raise UnreachableError(why, sent=sent) from error
                time.sleep(PAUSE_SECONDS)
            else:
                answer.again = sent
                return answer

    def close(self) -> None:
        if self._end is not None:
            self._end.close()
            self._end, self._last = None, False

    def _ask(self, method: str, path: str, seconds: float, body: bytes) -> Answer:
        if self._end is None:
            self._end = self._connect(self.path, seconds)
        self._end.settimeout(seconds)
        head = f"{method} {path} HTTP/1.1\r\nHost: reevd\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json\r\n\r\n" if body else "\r\n"
        self._end.sendall(head.encode("ascii") + body)
        return self._receive(self._end)

    def download(self, path: str, file: BinaryIO, seconds: float) -> Answer:
        """The answer, whose text goes into the file as it comes. Raises UnreachableError, OSError as the disk does."""
        try:
            self._end = end = self._connect(self.path, seconds)
        except OSError as error:
            raise UnreachableError(str(error)) from error
        try:
            end.sendall(f"GET {path} HTTP/1.1\r\nHost: reevd\r\nContent-Length: 0\r\n\r\n".encode("ascii"))
            status, fields, text = self._head(end)
            length = int(fields["content-length"])
            if status != 200:
                return Answer(status, self._rest(end, length, text))
            file.write(text)
            missing = length - len(text)
            while missing > 0:
                data = _some(end)
                file.write(data)
                missing -= len(data)
        except (ConnectionError, EOFError, TimeoutError) as error:
            raise UnreachableError(str(error) or "the daemon closed the connection") from error
        return Answer(status, b"")

    def _receive(self, end: socket.socket) -> Answer:
        """uvicorn always says how long its JSON is: no chunks to put together."""
        status, fields, text = self._head(end)
        return Answer(status, self._rest(end, int(fields["content-length"]), text), fields.get("link", ""))

    def _head(self, end: socket.socket) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields by their names in small letters, and as much of the text as has come with them."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += _some(end)
        head, _, text = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:])
        fields = {name.lower(): value for name, value in pairs}
        if fields.get("connection") == "close":
            self._last = True
        return int(lines[0].split(" ", 2)[1]), fields, text

    def _rest(self, end: socket.socket, length: int, text: bytes) -> bytes:
        pieces, missing = [text], length - len(text)
        while missing > 0:
            pieces.append(_some(end))
            missing -= len(pieces[-1])
        if self._last:
            self.close()
        return b"".join(pieces)


def _connect(path: str, seconds: float) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.settimeout(seconds)
        end.connect(path)
    except OSError:
        end.close()
        raise
    return end


def _some(end: socket.socket) -> bytes:
    data = end.recv(65536)
    if not data:
        raise EOFError
    return data
