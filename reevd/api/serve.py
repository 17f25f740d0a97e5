"""The server process: uvicorn on the socket that the engine made, until the engine ends it or is gone."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import orjson
import structlog
import uvicorn
import uvloop

from reevd import log
from reevd.api.app import App
from reevd.api.connection import Bounds, Connection, Refusals
from reevd.api.gate import Gate
from reevd.api.service import Service
from reevd.link import ServerEnd
from reevd.memory import calm

GRACE_SECONDS = 3
BACKLOG = 1024
CONNECTIONS = 1024
DESCRIPTORS = 4 * CONNECTIONS

logger = structlog.get_logger("reevd.serve")


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


def _raise_limit() -> None:
    """Room for all connections: the usual limit of 1,024 open files would be met by them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def serve(arguments: dict[str, Any]) -> None:
    names = ("database", "sessions", "admin_gid", "started_at", "writers")
    service = Service(*(arguments[name] for name in names))
    bounds = Bounds(**arguments.get("bounds", {}))
    gate = Gate(arguments["connections_per_user"], CONNECTIONS)
    config = uvicorn.Config(
        App(service),
        http=partial(Connection, bounds=bounds, gate=gate, refusals=Refusals()),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=bounds.idle_seconds,  # type: ignore[arg-type]
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, service)

    def news(message: dict[str, Any]) -> None:
        if "replaced" in message:
            service.reopen()
            service.open()

    end = ServerEnd(news, server.stop)
    await end.open(socket.socket(fileno=arguments["link_fd"]))
    service.end = end
    listening = socket.socket(fileno=arguments["listen_fd"])
    service.open()
    calm()
    await server.serve(sockets=[listening])
    end.close()


def main() -> None:
    arguments = orjson.loads(sys.argv[1])
    log.configure(arguments["log_format"])
    _raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments))
    logger.info("server stopped")


if __name__ == "__main__":
    main()
