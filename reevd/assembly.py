"""What the daemon is put together from, by its settings: the engine, the executor, the server, the follower."""

from __future__ import annotations

import grp
import importlib.util
import os
import socket
import subprocess
import sys
from dataclasses import fields
from functools import partial

import orjson
import structlog

from reevd import notify
from reevd.bounds import Bounds, Pace
from reevd.clock import Clock
from reevd.config import Settings
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.errors import ConfigError
from reevd.feed.keeper import Keeper
from reevd.feed.outbox import OUTBOX
from reevd.owners import user_ids
from reevd.runs.carried import carry
from reevd.runs.executor import Executor, Start
from reevd.runs.launch import detect
from reevd.runs.process import start
from reevd.runs.spool import Spool

FEED = tuple(field.name for field in fields(Settings) if field.name.startswith(("forward_", "notice_")))
PLACES = ("sessions_dir", "benchmarks_dir", "database", "socket", "log_format", "admin_group", "runner", "porter")
RESTART = (*FEED, *PLACES, "connections_per_user", "writers")
"""Settings that only a new process can take on."""
# A migration reads and writes all there is: at this many bytes a second on the slowest of disks.
SLOWEST, LEAST_SECONDS = 1 << 20, 60

log = structlog.get_logger("reevd.daemon")


def tuning(settings: Settings) -> tuple[Limits, Bounds, Pace]:
    """What of the settings the engine may be told while it runs."""
    return (
        Limits(settings.silence_seconds, settings.total_seconds),
        Bounds(settle_ns=int(settings.settle_seconds * 1e9), writers=user_ids(settings.writers, os.geteuid())),
        Pace(settings.rescan_seconds, settings.poll_seconds),
    )


def open_engine(settings: Settings) -> Engine:
    """The engine of these settings; what it needs is made where it is missing."""
    limits, bounds, pace = tuning(settings)
    notify.tell(EXTEND_TIMEOUT_USEC=str(_opening_us(settings.database)))
    return Engine(settings.sessions_dir, settings.database, limits=limits, bounds=bounds, pace=pace)


def _opening_us(database: str) -> int:
    """How long a migration and a replay of the journal may take: both come before there is a loop to ask for more."""
    size = sum(os.path.getsize(path) for path in (database, f"{database}.journal") if os.path.exists(path))
    return int((LEAST_SECONDS + size / SLOWEST) * 1e6)


def start_server(settings: Settings, listen_fd: int, link_fd: int) -> subprocess.Popen[bytes]:
    arguments = {
        "listen_fd": listen_fd,
        "link_fd": link_fd,
        "database": os.path.abspath(settings.database),
        "sessions": os.path.abspath(settings.sessions_dir),
        "log_format": settings.log_format,
        "connections_per_user": settings.connections_per_user,
        "admin_gid": _gid(settings.admin_group),
        "started_at": Clock().now(),
        "writers": settings.writers,
    }
    command = [sys.executable, "-m", "reevd.api.serve", orjson.dumps(arguments).decode()]
    return subprocess.Popen(command, pass_fds=(listen_fd, link_fd), stdin=subprocess.DEVNULL)


def open_executor(settings: Settings, engine: Engine) -> Executor:
    folder = os.path.join(os.path.dirname(os.path.realpath(settings.database)), "spool")
    launch = detect(os.environ, settings.sessions_dir, settings.runner)
    begin: Start = partial(carry, settings.porter) if settings.porter else start
    return Executor(engine, Spool(folder), launch, begin, slots=settings.max_running, grace=settings.stop_seconds)


def open_keeper(settings: Settings) -> Keeper:
    """Of the process that follows, where somebody is to be told. Raises ConfigError."""
    if not (settings.forward_endpoint or settings.notice_command or settings.notice_webhook):
        return Keeper(None)
    if settings.forward_endpoint and not _has("opentelemetry.exporter.otlp.proto.common"):
        hint = "pip install 'reevd[otlp]'; on a host, make install EXTRAS=otlp"
        raise ConfigError("forwarding to", settings.forward_endpoint, "what OTLP needs is not installed", hint)
    if (settings.forward_endpoint or settings.notice_webhook) and not _networked():
        log.error(
            "nothing can be forwarded or posted: this process has no network",
            hint="systemctl edit reevd: PrivateNetwork=no, IPAddressDeny=, RestrictAddressFamilies=AF_INET AF_INET6",
        )
    database = os.path.realpath(settings.database)
    wanted = {name: getattr(settings, name) for name in FEED}
    return Keeper({"database": database, "path": database + OUTBOX, "log_format": settings.log_format, **wanted})


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it would be in
        return False


def _networked() -> bool:
    """Whether sockets of the network can be had: not under the unit as it is installed."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM):
            return True
    except OSError:
        return False


def _gid(group: str) -> int | None:
    try:
        return grp.getgrnam(group).gr_gid if group else None
    except KeyError:
        raise ConfigError("looking up", f"admin_group {group}", "there is no such group", "groupadd it first") from None
