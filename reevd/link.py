"""Between the two processes of the daemon: the server asks, the engine answers; both ends of one socket pair.

A packet is one JSON object. Request: `{"id", "op", "args"}`. Answer: `{"id", "answer"}` or `{"id", "error", "status"}`.
A packet without an id is news from the engine: `{"changed": [execution_id, ...]}`. The end of one process is
the end of the socket, which the other one sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

PACKET = 1 << 20


def pair() -> tuple[socket.socket, socket.socket]:
    """The engine's end and the server's end."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PACKET)
    return ends


class LinkError(Exception):
    """The engine does not answer, or says that it cannot do what was asked; `status` is HTTP's word for it."""

    def __init__(self, message: str, status: int = 503) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(Exception):
    """What was asked for is not done: why, and what to try, with HTTP's status for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Request(NamedTuple):
    id: int
    op: str
    args: dict[str, Any]


class EngineEnd:
    """The engine's end: never waits. `receive` says what is asked; `answer` and `tell` send."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self.closed = False

    def fileno(self) -> int:
        return self._end.fileno()

    def receive(self) -> list[Request]:
        """What was asked since the last call. `closed` is true once the server is gone."""
        requests: list[Request] = []
        while not self.closed:
            try:
                packet = self._end.recv(PACKET)
            except BlockingIOError:
                break
            except ConnectionError:
                packet = b""
            if not packet:
                self.closed = True
                break
            asked = orjson.loads(packet)
            requests.append(Request(asked["id"], asked["op"], asked["args"]))
        return requests

    def answer(self, request: Request, answer: object) -> None:
        self._send({"id": request.id, "answer": answer})

    def refuse(self, request: Request, error: RefusedError) -> None:
        self._send({"id": request.id, "error": str(error), "status": error.status})

    def tell(self, news: dict[str, Any]) -> None:
        """News may be dropped where the server is slow: it reads the database, and looks there again."""
        self._send(news)

    def _send(self, packet: dict[str, Any]) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._end.send(orjson.dumps(packet))

    def close(self) -> None:
        self._end.close()


class ServerEnd:
    """The server's end, for one asyncio loop. `on_news` is called for news, `on_closed` when the engine is gone."""

    def __init__(
        self,
        end: socket.socket,
        on_news: Callable[[dict[str, Any]], None],
        on_closed: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._end, self._on_news, self._on_closed = end, on_news, on_closed
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0
        asyncio.get_running_loop().add_reader(end, self._readable)

    async def call(self, op: str, args: dict[str, Any] | None = None, *, timeout: float = 5.0) -> Any:
        """The engine's answer. Raises LinkError where it refuses, or says nothing for `timeout` seconds."""
        self._count += 1
        number, answer = self._count, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._end.send(orjson.dumps({"id": number, "op": op, "args": args or {}}))
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise LinkError(f"the engine did not answer {op!r} within {timeout:g} s") from None
        except OSError as error:
            raise LinkError(f"the engine cannot be asked: {error}") from error
        finally:
            self._waiting.pop(number, None)

    def _readable(self) -> None:
        try:
            packet = self._end.recv(PACKET)
        except BlockingIOError:
            return
        except ConnectionError:
            packet = b""
        if not packet:
            asyncio.get_running_loop().remove_reader(self._end)
            self._on_closed()
            return
        message = orjson.loads(packet)
        waiting = self._waiting.get(message.get("id", 0))
        if waiting is None:
            if "id" not in message:
                self._on_news(message)
        elif not waiting.done():
            if "error" in message:
                waiting.set_exception(LinkError(message["error"], message["status"]))
            else:
                waiting.set_result(message["answer"])
