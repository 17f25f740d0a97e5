"""The loop that keeps the database true to the folder: take what is due, look, store, in that order, for ever.

`step` does one round and says how long to sleep. Events shorten the sleep; nothing depends on them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apsw
import structlog

from reevd import restore
from reevd.agenda import Agenda
from reevd.clock import Clock
from reevd.derive import DEFAULT_LIMITS, Limits
from reevd.files import Folder, TransientError
from reevd.journal import Journal
from reevd.model import Problem, Status
from reevd.names import classify
from reevd.reader import Bounds, Reader
from reevd.rescan import Rescan
from reevd.store import Change, Store
from reevd.times import SECOND, rfc3339
from reevd.watch import Watch
from reevd.weigh import weigh

BATCH = 256
TICK = SECOND // 2
RETRY = SECOND // 2
BUSY_WAL_FRAMES = 16_000  # 64 MiB: past this the log is moved into the database even while there is work

log = structlog.get_logger("reevd.engine")


class Pace(NamedTuple):
    """How often the whole folder is looked at: seconds with events and without; never over a tenth of the time."""

    rescan: float = 30.0
    poll: float = 1.0


class Health(NamedTuple):
    """The engine's own view, as /health shows it."""

    mode: str
    pending: int
    last_rescan_at: str | None
    last_rescan_seconds: float | None
    scanned: int
    stale: bool
    reasons: list[str]


class Engine:
    """One folder, one database. Not thread-safe: one thread calls `step`; `wake` (an eventfd) may end its sleep."""

    def __init__(
        self,
        folder_path: str,
        database: str,
        *,
        limits: Limits = DEFAULT_LIMITS,
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
        pace: Pace = Pace(),  # noqa: B008 - immutable
        clock: Clock | None = None,
    ) -> None:
        self.folder_path, self.limits, self.bounds, self.pace = folder_path, limits, bounds, pace
        self.clock = clock or Clock()
        self.store = Store(database)
        self.journal = Journal(database + ".journal")
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.changed: Callable[[list[str]], None] = lambda _ids: None
        self.ready = False
        self._agenda = Agenda()
        self._watch: Watch | None = None
        self._scan: Rescan | None = None
        self._last_scan: tuple[int, int, int] | None = None
        self._scan_wanted = True
        self._next_tick = 0
        self._retry_at = 0
        self._reasons: dict[str, str] = {}
        self._troubled = set(self.store.problem_paths())
        restore.replay(self.store, self.journal, self.clock.now())
        self._open_folder()

    # -- life ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if self._watch:
            self._watch.close()
        self.folder.close()
        self.journal.close()
        self.store.close()
        os.close(self.wake)

    def rescan(self) -> None:
        """Wants a full scan as soon as can be."""
        self._scan_wanted = True

    def settle(self) -> None:
        """Works until nothing is left to do at once: the `--once` mode, and the answer to a sync."""
        self.rescan()
        while self.step() == 0 or self._scan or self._scan_wanted:
            pass

    def health(self) -> Health:
        started, ended, scanned = self._last_scan or (0, 0, 0)
        return Health(
            mode="inotify" if self._watch else "poll",
            pending=len(self._agenda),
            last_rescan_at=rfc3339(ended) if ended else None,
            last_rescan_seconds=(ended - started) / SECOND if ended else None,
            scanned=scanned,
            stale="database" in self._reasons,
            reasons=list(self._reasons.values()),
        )

    # -- one round -------------------------------------------------------------------------------------------

    def step(self) -> float:
        """One round. Returns the seconds until the next one is due; an event may call for it sooner."""
        now = self.clock.now()
        if self._watch:
            self._take_events(self._watch)
        if self._retry_at <= now:
            self._look(now)
        self._scan_on(now)
        if now >= self._next_tick:
            self._next_tick = now + TICK
            self._tick(now)
        return self._sleep(self.clock.now())

    def _sleep(self, now: int) -> float:
        if self._scan:
            return 0.0
        due = self._agenda.next_at()
        wanted = self._next_tick if due is None else min(self._next_tick, max(due, self._retry_at))
        return max(0, wanted - now) / SECOND

    def _take_events(self, watch: Watch) -> None:
        names, lost = watch.take()
        self._scan_wanted |= lost
        for raw in names:
            name = classify(raw)
            if name and name.execution_id:
                self._agenda.add(name.execution_id)
            elif name:
                self._scan_wanted = True

    def _look(self, now: int) -> None:
        """Looks at what is due and stores what it finds, in one transaction."""
        batch = self._agenda.take(now, BATCH)
        changes: list[Change] = []
        for execution_id in batch:
            try:
                changes.append(self._examine(execution_id, now))
            except TransientError as error:
                self._reasons["files"] = f"files cannot be opened: {error}: raise the limit of open files"
                self._agenda.add_later(execution_id, now + RETRY)
            except apsw.Error:
                raise
            except Exception as error:  # noqa: BLE001 - one poisoned file must not stop the others
                changes.append(self._poisoned(execution_id, error))
            else:
                self._reasons.pop("files", None)
        if changes:
            self._commit(changes, now)

    def _examine(self, execution_id: str, now: int) -> Change:
        previous = self.store.execution(execution_id)
        decisions = self.store.decisions(execution_id) if previous else ()
        ended = previous is not None and Status(previous.status).terminal
        reading = self.reader.read(execution_id, now, self.clock.stamp(), ended=ended)
        waits = [p.again for p in (reading.session_part, reading.otel_part) if p.again is not None]
        if waits:
            self._agenda.add_later(execution_id, now + min(waits) // 1000)
        return weigh(
            execution_id,
            reading,
            previous,
            decisions,
            now,
            limits=self.limits,
            settle=self.bounds.settle_ns // 1000,
            may_judge=self.ready,
        )

    def _poisoned(self, execution_id: str, error: Exception) -> Change:
        log.exception("look failed", execution_id=execution_id)
        self.reader.forget(execution_id)
        message = f"reading it failed inside reevd, which is a defect: {type(error).__name__}: {error}"
        return Change(
            execution_id, problems=(Problem(f"session_{execution_id}.json", execution_id, "internal", message),)
        )

    def _commit(self, changes: list[Change], now: int) -> None:
        changes = [c._replace(solved=tuple(path for path in c.solved if path in self._troubled)) for c in changes]
        try:
            records: list[dict[str, Any]] = [restore.decision(d) for c in changes for d in c.decisions]
            records += [restore.result(c.archive) for c in changes if c.archive]
            size = self.journal.append(records)
            self.store.reconcile(changes, rfc3339(now), size)
        except (apsw.Error, OSError) as error:
            self._failed(changes, error, now)
            return
        self._reasons.pop("database", None)
        for change in changes:
            self._troubled.difference_update(change.solved)
            for problem in change.problems:
                self._tell(problem)
        written = [c.execution.execution_id for c in changes if c.execution]
        if written:
            self.changed(written)

    def _failed(self, changes: list[Change], error: Exception, now: int) -> None:
        """The disk failed: what was found is looked at anew, and readers go on seeing the last commit."""
        for change in changes:
            if change.execution_id:
                self.reader.forget(change.execution_id)
                self._agenda.add(change.execution_id)
        self._retry_at = now + RETRY
        if "database" not in self._reasons:
            log.error("storing failed", database=self.store.path, error=str(error), retry="until it works")
        self._reasons["database"] = f"storing fails ({error}): what is shown is the last that could be stored"

    def _tell(self, problem: Problem) -> None:
        if problem.path not in self._troubled:
            self._troubled.add(problem.path)
            log.warning(
                "problem",
                path=problem.path,
                execution_id=problem.execution_id,
                kind=problem.kind,
                message=problem.message,
            )

    # -- the whole folder ------------------------------------------------------------------------------------

    def _scan_on(self, now: int) -> None:
        if self._scan is None:
            if not self._scan_wanted:
                return
            self._scan_wanted = False
            self._scan = Rescan(self.folder, self.store, now)
        more = self._scan.step()
        for execution_id in self._scan.found:
            self._agenda.add(execution_id)
        self._scan.found.clear()
        if not more:
            self._scanned(self._scan)
            self._scan = None

    def _scanned(self, scan: Rescan) -> None:
        ended = self.clock.now()
        self._last_scan = (scan.started_at, ended, scan.scanned)
        gone = tuple(path for path in self._troubled - scan.odd.keys() if not ids_of(path))
        if scan.odd or gone:
            self._commit([Change("", problems=tuple(scan.odd.values()), solved=gone)], ended)

    def _tick(self, now: int) -> None:
        if not self.folder.in_place() or (self._watch and not self._watch.alive):
            log.warning("sessions folder replaced or unwatched", folder=self.folder_path)
            self._reopen_folder()
        if self._last_scan:
            started, ended, _ = self._last_scan
            pause = (self.pace.rescan if self._watch else self.pace.poll) * SECOND
            self._scan_wanted |= now - ended >= max(pause, 10 * (ended - started))
        if self._scan is None and not self._scan_wanted and self._agenda.next_at() != 0:
            self._became_ready()
        if self.ready:
            for execution_id in (*self.store.locked(), *self.store.due(rfc3339(now))):
                self._agenda.add(execution_id)
        self._checkpoint()

    def _became_ready(self) -> None:
        if not self.ready:
            self.ready = True
            log.info("ready", folder=self.folder_path, scanned=self._last_scan and self._last_scan[2])

    def _checkpoint(self) -> None:
        idle = self._agenda.next_at() != 0
        try:
            if self.store.wal_frames and (idle or self.store.wal_frames > BUSY_WAL_FRAMES):
                self.store.checkpoint(truncate=idle)
        except apsw.Error as error:
            log.warning("checkpoint failed", error=str(error))

    # -- the folder itself -----------------------------------------------------------------------------------

    def _open_folder(self) -> None:
        os.makedirs(self.folder_path, exist_ok=True)
        self.folder = Folder(self.folder_path)
        self.reader = Reader(self.folder, self.store.file, self.bounds)
        try:
            # First the watch, then the scan: what comes between is seen by one of them.
            self._watch = Watch(self.folder.descriptor, self.wake)
            self._reasons.pop("watch", None)
        except OSError as error:
            self._watch = None
            self._reasons["watch"] = f"inotify cannot be had ({error}): polling instead; see fs.inotify in sysctl"
        self._scan, self._scan_wanted = None, True

    def _reopen_folder(self) -> None:
        if self._watch:
            self._watch.close()
        self.folder.close()
        self._open_folder()


def ids_of(path: str) -> Iterable[str]:
    name = classify(os.fsencode(path))
    return [name.execution_id] if name and name.execution_id else []
