"""One connection of the server: who is at its other end, and bounds on all that a client may do to us.

The parser takes megabytes of headers, and neither it nor uvicorn ever grows tired of waiting. Every time that a
client may take is bounded here, and every size.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http
import logging
import socket
import struct
import time
from typing import Any, NamedTuple, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reevd.api.answers import body_of
from reevd.api.cork import Cork
from reevd.api.gate import Gate

PEER = struct.Struct("iII")
SO_PEERGROUPS = 59  # asm-generic/socket.h, Linux 4.13; Python has no name for it
MOST_BYTES = 1024  # Python asks for no more: 256 groups
LOG_SECONDS = 10.0

log = structlog.get_logger("reevd.connection")
# uvicorn's own line for each request that its parser cannot take: `Refusals` says it, and not one by one.
logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg != "Invalid HTTP request received.")


class Bounds(NamedTuple):
    """Bytes and seconds.

    request_seconds   from a request's first byte to its last, and from the connection to the first request
    write_seconds     how long an answer may wait for its reader
    idle_seconds      between two requests
    """

    head_bytes: int = 64 << 10
    body_bytes: int = 4 << 20
    request_seconds: float = 20.0
    write_seconds: float = 20.0
    idle_seconds: float = 75.0


class Refusals:
    """Says at most once in a while that clients are refused: a storm of them must not become one of the log."""

    def __init__(self) -> None:
        self._count, self._said = 0, float("-inf")

    def note(self, status: int, why: str) -> None:
        self._count += 1
        if time.monotonic() - self._said >= LOG_SECONDS:
            log.warning("client refused", status=status, why=why, refused=self._count)
            self._count, self._said = 0, time.monotonic()


class Connection(HttpToolsProtocol):
    """Puts into each request's scope, under `extensions`, the process, the user and the groups: the kernel's word."""

    def __init__(self, *settings: Any, bounds: Bounds, gate: Gate, refusals: Refusals, **more: Any) -> None:
        super().__init__(*settings, **more)
        self._bounds, self._gate, self._refusals = bounds, gate, refusals
        self._peer: dict[str, Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._refusal: tuple[int, str] | None = None
        self._head = self._body = 0
        self._in_head, self._in_request = True, False

    # -- the connection ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._cork = Cork(transport)
        self.transport = cast("asyncio.Transport", self._cork)
        end = transport.get_extra_info("socket")
        pid, uid, gid = PEER.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
        if why := self._gate.enter(uid):
            self._refuse(503, f"connecting: {why}: close some, or try again later")
            return
        self._peer = {"pid": pid, "uid": uid, "groups": {gid, *_groups(end)}}
        self._wait(self._bounds.request_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._wait_for_reader(None)
        if self._peer is not None:
            self._gate.leave(self._peer["uid"])
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops: who has half asked is not waited for."""
        if self._in_request:
            self.transport.abort()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        # What was answered and is not read yet will not be read: closing would wait for that for ever.
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    # -- what comes in -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._peer is None or self._refusal is not None or self.transport.is_closing():
            return
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        # An empty line between two requests begins none, but ends uvicorn's wait for the next.
        waits = self._in_request or self.cycle is None or self.cycle.response_complete
        if waits and self._timer is None and self._refusal is None:
            self._wait(self._bounds.request_seconds)
        if self._in_head and self._head > self._bounds.head_bytes and self._refusal is None:
            self._refuse(431, f"reading a request: its head has more than {self._bounds.head_bytes:,} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._timer is not None and not self._in_request:
            self._wait(None)  # what came between two requests takes no time from this one
        self._body, self._in_head, self._in_request = 0, True, True

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        # uvicorn makes the scope when a message begins; the address is the first that comes after it.
        extensions = cast("dict[str, Any]", self.scope.setdefault("extensions", {}))
        extensions["reevd.peer"] = self._peer

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        self._refusal = _fault(self.headers, len(self.url), self.parser.get_http_version(), self._bounds)
        if self._refusal is not None:
            raise ValueError(self._refusal[1])
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > self._bounds.body_bytes:
            self._refusal = _too_large(self._bounds)
            raise ValueError(self._refusal[1])
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._in_request = True, False
        if self._timer is not None:
            self._wait(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._cork.flush()
        super().on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: who asks for another protocol is answered in this one, and a storm of them is none of the log."""

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls it for whatever its parser or one of the above cannot take."""
        self._refuse(*(self._refusal or (400, f"reading a request: it is no HTTP/1.1 that can be understood: {msg}")))

    def _refuse(self, status: int, message: str) -> None:
        self._refusal = status, message
        self._refusals.note(status, message)
        phrase = http.HTTPStatus(status).phrase
        body = body_of(phrase.lower(), message)
        head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        retry = "Retry-After: 10\r\n" if status == 503 else ""
        self.transport.write(f"{head}{retry}Connection: close\r\n\r\n".encode() + body)
        self.transport.close()
        self._wait(self._bounds.write_seconds)

    # -- deadlines ---------------------------------------------------------------------------------------------

    def _wait(self, seconds: float | None) -> None:
        """How long the client has to finish what it is about; None: there is nothing to wait for."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        self._refusals.note(408, "it took too long to ask, or to read that it was refused")
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_reader(self._bounds.write_seconds)

    def resume_writing(self) -> None:
        self._wait_for_reader(None)
        super().resume_writing()

    def _wait_for_reader(self, seconds: float | None) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
        self._write_timer = None if seconds is None else self.loop.call_later(seconds, self._unread)

    def _unread(self) -> None:
        self._write_timer = None
        self._refusals.note(408, "it does not read its answer")
        with contextlib.suppress(OSError):
            self.transport.abort()


def _groups(end: socket.socket) -> tuple[int, ...]:
    """The peer's supplementary groups, as they were when it connected; none where it has more than we can ask for."""
    try:
        raw = end.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_BYTES)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _fault(headers: list[tuple[bytes, bytes]], url: int, version: str, bounds: Bounds) -> tuple[int, str] | None:
    """What is wrong with a request's head: the status and why. Ambiguity about its length is never resolved."""
    if url + sum(len(name) + len(value) for name, value in headers) > bounds.head_bytes:
        return 431, f"reading a request: its head has more than {bounds.head_bytes:,} bytes"
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in (b"host", b"content-length", b"transfer-encoding"):
            if name in found:
                return 400, f"reading a request: it has more than one {name.decode()}"
            found[name] = value
    if b"host" not in found and version == "1.1":
        return 400, "reading a request: it has no Host, which HTTP/1.1 asks for: send any, such as Host: reevd"
    encoding, length = found.get(b"transfer-encoding"), found.get(b"content-length")
    if encoding is not None and length is not None:
        return 400, "reading a request: it has both Transfer-Encoding and Content-Length: send one of them"
    if encoding is not None and encoding.strip().lower() != b"chunked":
        return 400, "reading a request: its Transfer-Encoding is not chunked, and no other is understood"
    if length is not None and (not length.isdigit() or int(length[:19]) > bounds.body_bytes):
        return _too_large(bounds)
    return None


def _too_large(bounds: Bounds) -> tuple[int, str]:
    return 413, f"reading a request: its body has more than {bounds.body_bytes:,} bytes: nothing that large is taken"
