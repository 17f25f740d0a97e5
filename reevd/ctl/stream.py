"""The daemon's live events, as a stream that survives the daemon's restart."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from reevd.ctl.client import UnreachableError
from reevd.ctl.shell import RefusedError

SILENCE_SECONDS = 45.0
RETRY_SECONDS = 1.0


class Event(NamedTuple):
    name: str
    content: dict[str, Any]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("reevd", timeout=SILENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SILENCE_SECONDS)
        self.sock.connect(self._path)


class Stream:
    """Iterating never ends by itself. `query`: the filter, as of an address, with its question mark."""

    def __init__(self, socket_path: str, query: str) -> None:
        self._socket_path, self._query, self._last = socket_path, query, ""

    def __iter__(self) -> Iterator[Event]:
        """Raises UnreachableError where the first connection fails, and RefusedError; later it tries again."""
        connected = False
        while True:
            connection = _Connection(self._socket_path)
            try:
                for event in self._read(connection):
                    connected = True
                    yield event
            except (OSError, http.client.HTTPException, ValueError) as error:
                if not connected:
                    raise UnreachableError(str(error) or "the daemon closed the connection") from error
            finally:
                connection.close()
            time.sleep(RETRY_SECONDS)

    def _read(self, connection: http.client.HTTPConnection) -> Iterator[Event]:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        connection.request("GET", f"/api/v1/events{self._query}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RefusedError(answer.status, json.loads(answer.read()))
        fields: dict[str, str] = {}
        for raw in answer:
            line = raw.decode().rstrip("\r\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                self._last = fields.get("id", self._last)
                yield Event(fields["event"], json.loads(fields["data"]))
                fields = {}
