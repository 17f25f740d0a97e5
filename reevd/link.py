"""Between the two processes of the daemon: the server asks, the engine answers; both ends of one socket pair.

A frame is its length, four bytes, and one JSON object. Request: `{"id", "op", "args"}`. Answer: `{"id", "answer"}`
or `{"id", "error", "status"}`. A frame without an id is news from the engine: `{"replaced": database}`. The end of
one process is the end of the socket, which the other one sees.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import orjson

HEAD = struct.Struct(">I")
MOST_BYTES = 16 << 20
"""Of one frame; what would be longer is refused before it is sent."""
BACKLOG = 4 * MOST_BYTES
"""What may wait for a reader who is slow."""
CHUNK = 1 << 18


def pair() -> tuple[socket.socket, socket.socket]:
    """The engine's end and the server's end."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


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


class FrameError(ValueError):
    """This cannot be sent: it is too long, or it has no form in JSON."""


class Request(NamedTuple):
    id: int
    op: str
    args: dict[str, Any]


def framed(content: dict[str, Any]) -> bytes:
    """The frame. Raises FrameError."""
    try:
        text = orjson.dumps(content)
    except orjson.JSONEncodeError as error:
        raise FrameError(f"it cannot be passed on as JSON: {error}") from error
    if len(text) > MOST_BYTES:
        raise FrameError(f"it has {len(text):,} bytes, and at most {MOST_BYTES:,} are passed on")
    return HEAD.pack(len(text)) + text


class Inbox:
    """Makes whole frames of what arrives in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, data: bytes) -> Iterator[dict[str, Any]]:
        self._data += data
        while len(self._data) >= HEAD.size:
            (length,) = HEAD.unpack_from(self._data)
            end = HEAD.size + length
            if len(self._data) < end:
                return
            content = orjson.loads(self._data[HEAD.size : end])
            del self._data[:end]
            yield content


class EngineEnd:
    """The engine's end: never waits. `receive` says what is asked; `answer`, `refuse` and `tell` send, or keep what
    the server does not take yet until the next `receive`.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end, self._inbox, self._unsent = end, Inbox(), bytearray()
        self._poll: select.epoll | None = None
        self.closed = False

    def register(self, poll: select.epoll) -> None:
        """From now on it is ready when something is asked, or when more of what waits can be sent."""
        self._poll = poll
        poll.register(self._end, select.EPOLLIN)

    def receive(self) -> list[Request]:
        """What was asked since the last call. `closed` is true once the server is gone."""
        self._flush()
        requests: list[Request] = []
        while not self.closed:
            try:
                data = self._end.recv(CHUNK)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            if not data:
                self.closed = True
            requests += [Request(asked["id"], asked["op"], asked["args"]) for asked in self._inbox.take(data)]
        return requests

    def answer(self, request: Request, answer: object) -> None:
        """What cannot be sent is refused instead."""
        try:
            frame = framed({"id": request.id, "answer": answer})
        except FrameError as error:
            self.refuse(request, RefusedError(500, f"{request.op}: the answer cannot be given: {error}"))
            return
        if len(self._unsent) + len(frame) > BACKLOG:
            self.refuse(request, RefusedError(503, f"{request.op}: earlier answers wait to be read: try again later"))
            return
        self._send(frame)

    def refuse(self, request: Request, error: RefusedError) -> None:
        text = str(error).encode(errors="backslashreplace").decode()
        self._send(framed({"id": request.id, "error": text[:CHUNK], "status": error.status}))

    def tell(self, news: dict[str, Any]) -> None:
        self._send(framed(news))

    def _send(self, frame: bytes) -> None:
        self._unsent += frame
        self._flush()

    def _flush(self) -> None:
        had = len(self._unsent)
        try:
            while self._unsent:
                del self._unsent[: self._end.send(self._unsent)]
        except BlockingIOError:
            pass  # the poll says when there is room again
        except ConnectionError:
            self._unsent.clear()  # nobody is there to read it, as `receive` finds out
        if self._poll is not None and had:
            self._poll.modify(self._end, select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0))

    def close(self) -> None:
        self._end.close()


class ServerEnd(asyncio.Protocol):
    """The server's end, for one asyncio loop. `on_news` is called for news, `on_closed` when the engine is gone."""

    def __init__(self, on_news: Callable[[dict[str, Any]], None], on_closed: Callable[[], None]) -> None:
        self._on_news, self._on_closed = on_news, on_closed
        self._inbox = Inbox()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._count = 0

    async def open(self, end: socket.socket) -> None:
        """Takes the socket over."""
        end.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def call(self, op: str, args: dict[str, Any] | None = None, *, timeout: float = 5.0) -> Any:
        """The engine's answer. Raises LinkError where it refuses, or says nothing for `timeout` seconds."""
        self._count += 1
        number, answer = self._count, asyncio.get_running_loop().create_future()
        try:
            frame = framed({"id": number, "op": op, "args": args or {}})
        except FrameError as error:
            raise LinkError(f"asking the engine for {op!r}: {error}", 400) from error
        transport = self._transport
        if transport is None or transport.is_closing():
            raise LinkError("asking the engine: it is gone: see the daemon's log")
        if transport.get_write_buffer_size() + len(frame) > BACKLOG:
            raise LinkError("asking the engine: it is behind with what it was asked: try again in a moment")
        self._waiting[number] = answer
        try:
            transport.write(frame)
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            why = f"the engine did not answer {op!r} within {timeout:g} s"
            raise LinkError(f"{why}: it may still do what was asked: look before asking again") from None
        finally:
            self._waiting.pop(number, None)

    # -- what asyncio calls ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for message in self._inbox.take(data):
            if "id" not in message:
                self._on_news(message)
                continue
            waiting = self._waiting.get(message["id"])
            if waiting is None or waiting.done():
                continue  # who asked waits no longer
            if "error" in message:
                waiting.set_exception(LinkError(message["error"], message["status"]))
            else:
                waiting.set_result(message["answer"])

    def connection_lost(self, _: Exception | None) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkError("asking the engine: it ended meanwhile: see the daemon's log"))
        self._on_closed()
