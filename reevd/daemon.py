"""The daemon as a process: lock, socket, the server as a child, and the loop that keeps the engine going.

Two processes, so that a query never waits for ingestion nor ingestion for queries. This one writes and is
the parent; the child only reads. When either ends, so does the other. (What else runs may end as it likes: who
reads ahead in a burst, who tells others of what has ended, and the runs themselves.)
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable

import apsw
import structlog

from reevd import link, mount, notify
from reevd.assembly import RESTART, open_engine, open_executor, open_keeper, start_server, tuning
from reevd.config import Settings
from reevd.desk import Desk, sync_benchmarks
from reevd.engine import Engine
from reevd.errors import ConfigError, ReevdError
from reevd.listener import listen
from reevd.lock import hold
from reevd.memory import calm
from reevd.presence import Presence
from reevd.reconciler import StoringError
from reevd.retention import Retention

STOP_SECONDS, MEASURE_SECONDS = 6.0, 5.0
LONGEST_SLEEP = OPEN_SECONDS = 1.0
SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
# What passes, of what SQLite says of a disk without room, or while somebody else writes.
PASSING = (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.BusyError)

log = structlog.get_logger("reevd.daemon")


def run(settings: Settings, reload: Callable[[], Settings]) -> int:
    """Runs until SIGTERM or SIGINT, or once with `--once`. Returns the exit status; raises ReevdError.

    reload: reads the settings anew, when SIGHUP asks for it
    """
    # By its real name: a link to the database is the same database.
    database = os.path.realpath(settings.database)
    try:
        os.makedirs(os.path.dirname(database), mode=0o750, exist_ok=True)
        _refuse_remote(os.path.dirname(database), settings.database)
        lock = hold(database + ".lock")
    except OSError as error:
        why = f"{error.strerror}: {error.filename}"
        hint = "run it as the owner of that place, or name another with --database and --socket"
        raise ReevdError("starting on", database, why, hint) from error
    try:
        return _once(settings) if settings.once else _Daemon(settings, reload).run()
    finally:
        os.close(lock)


def _refuse_remote(folder: str, database: str) -> None:
    """The log's index is memory that all who use the database share, which no network carries."""
    kind = mount.remote_at(folder)
    if kind in mount.REMOTE:
        why = f"it is on {kind}, and SQLite's log must not be shared over a network"
        raise ConfigError("opening", database, why, "name a place on a local disk with the setting database")


def _once(settings: Settings) -> int:
    try:
        engine = open_engine(settings)
        try:
            sync_benchmarks(engine, settings.benchmarks_dir)
            engine.settle()
        finally:
            engine.close()
    except (apsw.Error, StoringError, OSError) as error:
        why = str(error) or type(error).__name__
        raise ReevdError("reconciling into", settings.database, why, "see its disk and its mode; then again") from error
    return 0


def _opened(settings: Settings) -> Engine:
    """The engine, as soon as the disk lets it be opened: a full one must not end who waits for it to be mended."""
    told = False
    while True:
        try:
            return open_engine(settings)
        except (apsw.Error, OSError) as error:
            why = str(error) or type(error).__name__
            if isinstance(error, OSError) and error.filename:
                why = f"{error.strerror}: {error.filename}"
            if not isinstance(error, PASSING) and not (isinstance(error, OSError) and error.errno in SPACE):
                hint = "see the owner and mode of its folder, its journal and the sessions"
                raise ReevdError("opening", settings.database, why, hint) from error
            if not told:
                log.error("the database cannot be opened", database=settings.database, error=why, retry="until it can")
            told = True
            notify.tell(STATUS=f"{settings.database} cannot be opened: {why}", EXTEND_TIMEOUT_USEC="30000000")
            time.sleep(OPEN_SECONDS)


class _Daemon:
    def __init__(self, settings: Settings, reload: Callable[[], Settings]) -> None:
        self._settings, self._reload = settings, reload
        self._stopping = self._reloading = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # for signals
        signal.signal(signal.SIGHUP, self._hang_up)  # to open the database may take long
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        self._engine = _opened(settings)
        self._cases_at = self._measure_at = 0.0
        self._cases_in = self._engine.store
        try:
            self._executor = open_executor(settings, self._engine)
            self._keeper = open_keeper(settings)
            self._socket = listen(settings.socket)
            end, server_end = link.pair()
            self._link = link.EngineEnd(end)
            with server_end:
                self._server = start_server(settings, self._socket.fileno(), server_end.fileno())
        except BaseException:
            self._engine.close()
            raise
        self._engine.replaced = lambda: self._link.tell({"replaced": settings.database})
        self._retention = Retention(self._engine, settings.retention_days)
        self._desk = Desk(self._engine, self._executor, self._retention, self._link, settings.benchmarks_dir)
        self._desk.measure = self._measure

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        log.info(
            "started",
            sessions=self._settings.sessions_dir,
            database=self._settings.database,
            socket=self._socket.getsockname(),
            server=self._server.pid,
        )
        try:
            self._loop()
        finally:
            status = self._close()
        return status

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def _hang_up(self, _number: int, _frame: object) -> None:
        self._reloading = True
        os.eventfd_write(self._wake, 1)

    def _tune(self, presence: Presence) -> None:
        """Takes the settings anew. What cannot be used leaves the old ones in force."""
        self._reloading, presence.trouble = False, ""
        presence.reloading()
        try:
            settings = self._reload()
        except ConfigError as error:
            presence.trouble = f"the old settings are in force: {error}"
            log.error("settings cannot be used: the old ones stay", error=str(error), hint=error.hint)
        else:
            for name in RESTART:
                if getattr(settings, name) != getattr(self._settings, name):
                    log.warning("a restart is needed for this setting", setting=name)
            limits, bounds, pace = tuning(settings)
            self._engine.tune(limits, bounds._replace(writers=self._engine.patrol.bounds.writers), pace)
            self._executor.slots, self._executor.grace = settings.max_running, settings.stop_seconds
            self._retention.days = settings.retention_days
            self._cases_at = 0.0
            log.info("settings read anew")
        presence.reloaded()

    def _read_cases(self) -> None:
        """At the start, when the settings were read anew, and into each new database; where that fails, once more."""
        other = self._cases_at == math.inf and self._cases_in is not self._engine.store
        if not other and time.monotonic() < self._cases_at:
            return
        try:
            sync_benchmarks(self._engine, self._settings.benchmarks_dir)
        except (apsw.Error, OSError) as error:
            log.warning("the cases could not be stored", error=str(error) or type(error).__name__, retry="soon")
            self._cases_at = time.monotonic() + OPEN_SECONDS
        else:
            self._cases_at, self._cases_in = math.inf, self._engine.store

    def _loop(self) -> None:
        calm()
        poll = self._engine.poll
        poll.register(self._wake, select.EPOLLIN)
        self._link.register(poll)
        presence = Presence(self._engine, self._settings.sessions_dir)
        while not self._stopping and not self._link.closed:
            pause = min(each.step() for each in (self._engine, self._executor, self._retention, self._keeper))
            self._read_cases()
            presence.sign()
            if self._desk.meters is not None:
                pause = min(pause, self._desk.meters.step())
            elif presence.at_rest:
                self._measure()
            if self._reloading:
                self._tune(presence)
            elif not self._desk.serve():
                for descriptor, _ in poll.poll(min(pause, LONGEST_SLEEP)):
                    if descriptor == self._wake:
                        os.eventfd_read(self._wake)

    def _measure(self) -> None:
        now = time.monotonic()
        if not self._engine.ready or now < self._measure_at:
            return
        try:
            from reevd.meters import Meters  # takes long to load: not while somebody waits

            self._desk.meters = Meters(self._engine, self._executor, self._retention)
        except (OSError, ImportError) as error:  # no descriptors are left to load it by, say
            if not self._measure_at:
                log.warning("nothing is measured", error=str(error) or type(error).__name__, retry="until it can be")
            self._measure_at = now + MEASURE_SECONDS

    def _close(self) -> int:
        """Ends the server, then the engine. 1 where the server ended by itself."""
        asked = self._stopping
        log.info("stopping" if asked else "the server ended by itself", server=self._server.pid)
        notify.tell(STOPPING="1")
        self._link.close()
        self._server.terminate()
        try:
            self._server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("the server did not end in time: killing it", server=self._server.pid)
            self._server.kill()
            self._server.wait()
        if self._desk.meters is not None:
            self._desk.meters.close()
        self._keeper.close()
        self._executor.close()
        self._engine.close()
        if "LISTEN_PID" not in os.environ:
            with contextlib.suppress(FileNotFoundError):  # somebody removed it
                os.unlink(self._settings.socket)
        self._socket.close()
        os.close(self._wake)
        log.info("stopped")
        return 0 if asked else 1
