"""The server process: uvicorn on the socket that the engine made, until the engine ends it or is gone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any, cast

import orjson
import structlog
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from reevd import log
from reevd.api.app import App
from reevd.api.service import Service
from reevd.link import ServerEnd

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
PEER = struct.Struct("iII")

logger = structlog.get_logger("reevd.serve")


class PeerProtocol(HttpToolsProtocol):
    """Puts into each request who is at the other end: SO_PEERCRED's process, user and group."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        end = transport.get_extra_info("socket")
        raw = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        pid, uid, gid = PEER.unpack(raw)
        self.peer = {"pid": pid, "uid": uid, "gid": gid}

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        # uvicorn makes the scope when a message begins; the address is the first that comes after it.
        extensions = cast("dict[str, Any]", self.scope.setdefault("extensions", {}))
        extensions["reevd.peer"] = self.peer


class Server(uvicorn.Server):
    """The parent decides when to stop: a Ctrl-C in its terminal reaches this process too, and is not for it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        yield

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def stop(self) -> None:
        self.should_exit = True
        self._service.hub.end()


async def serve(arguments: dict[str, Any]) -> None:
    service = Service(arguments["database"], arguments["admin_gid"], arguments["started_at"])
    config = uvicorn.Config(
        App(service),
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, service)

    def news(message: dict[str, Any]) -> None:
        if "replaced" in message:
            service.reopen()

    end = socket.socket(fileno=arguments["link_fd"])
    service.end = ServerEnd(end, news, server.stop)
    listening = socket.socket(fileno=arguments["listen_fd"])
    await server.serve(sockets=[listening])
    end.close()


def main() -> None:
    arguments = orjson.loads(sys.argv[1])
    log.configure(arguments["log_format"])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments))
    logger.info("server stopped")


if __name__ == "__main__":
    main()
