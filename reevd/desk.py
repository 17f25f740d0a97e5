"""What the server may ask of the engine, answered between two rounds of its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import apsw
import structlog

from reevd import catalog
from reevd.engine import Engine
from reevd.link import EngineEnd, RefusedError, Request
from reevd.reconciler import StoringError
from reevd.retention import Pass, Retention
from reevd.runs import requests
from reevd.runs.executor import Executor
from reevd.times import SECOND

if TYPE_CHECKING:
    from reevd.meters import Meters  # takes long to load: the daemon does so once it has time

MOST_TOLD = 1000

log = structlog.get_logger("reevd.desk")


class Desk:
    """Answers what comes over `link`. A sync is answered once the scan that it asked for has been stored.

    meters: the engine's figures, once they are taken; measure: begins to take them, where the engine is ready
    """

    def __init__(
        self, engine: Engine, executor: Executor, retention: Retention, link: EngineEnd, benchmarks_dir: str
    ) -> None:
        self._engine, self._executor, self._retention = engine, executor, retention
        self._link, self._benchmarks_dir = link, benchmarks_dir
        self.meters: Meters | None = None
        self.measure: Callable[[], None] = lambda: None
        self._passes: list[tuple[Request, Pass]] = []
        self._syncs: list[tuple[Request, dict[str, Any], int, int, int]] = []
        self._ops: dict[str, Callable[[Request], None]] = {
            "health": self._health,
            "sync": self._sync,
            "run": self._run,
            "stop": self._stop,
            "upsert": self._upsert,
            "prune": self._prune,
            "metrics": self._metrics,
            "suspect": self._suspect,
        }

    def serve(self) -> bool:
        """Answers what can be answered now. Returns whether something new was asked."""
        requests = self._link.receive()
        for request in requests:
            op = self._ops.get(request.op)
            try:
                if op is None:
                    raise RefusedError(503, f"the engine knows no {request.op!r}")
                op(request)
            except RefusedError as error:
                self._link.refuse(request, error)
            except (apsw.Error, StoringError, OSError) as error:
                why = str(error) or type(error).__name__
                hint = "try again in a moment, and see the health"
                self._link.refuse(
                    request, RefusedError(503, f"{request.op}: the database cannot be used now: {why}: {hint}")
                )
            except Exception as error:
                # A defect, but no reason to leave everybody else without a daemon.
                log.exception("a request failed", op=request.op)
                why = f"it failed inside reevd, which is a defect: {type(error).__name__}: see the daemon's log"
                self._link.refuse(request, RefusedError(500, f"{request.op}: {why}"))
        waiting = []
        for sync in self._syncs:
            request, benchmarks, scan, written, began = sync
            if self._engine.scans < scan or not self._engine.idle:
                waiting.append(sync)
                continue
            health = self._engine.health()
            sessions = {
                "scanned": health.scanned,
                "changed": self._engine.patrol.written - written,
                "problems": self._engine.problems,
            }
            took = (self._engine.clock.now() - began) * 1000 / SECOND
            self._link.answer(request, {"benchmarks": benchmarks, "sessions": sessions, "duration_ms": took})
        self._syncs = waiting
        for request, asked in self._passes:
            if asked.done:
                self._link.answer(request, asked.told())
        self._passes = [each for each in self._passes if not each[1].done]
        return bool(requests)

    def _health(self, request: Request) -> None:
        self._link.answer(
            request,
            {**self._engine.health()._asdict(), "queued": self._executor.queued, "running": self._executor.running},
        )

    def _metrics(self, request: Request) -> None:
        if self.meters is None:
            self.measure()
        if self.meters is None:
            raise RefusedError(503, "the engine is not ready")
        self._link.answer(request, self.meters.text())

    def _run(self, request: Request) -> None:
        self._link.answer(request, requests.run(self._engine, self._executor, request.args))

    def _stop(self, request: Request) -> None:
        self._link.answer(request, requests.stop(self._engine, self._executor, request.args))

    def _upsert(self, request: Request) -> None:
        benchmark = requests.upsert(self._benchmarks_dir, request.args)
        sync_benchmarks(self._engine, self._benchmarks_dir)
        message = f"{benchmark.id} stands in {benchmark.path}"
        self._link.answer(request, {"success": True, "benchmark_id": benchmark.id, "message": message})

    def _prune(self, request: Request) -> None:
        """args: {days, dry_run}. Answered once the pass is over."""
        days = request.args["days"]
        days = self._retention.days if days is None else days
        if not days:
            raise RefusedError(400, "removing executions: no age is given, and retention_days is not set: give days")
        self._passes.append((request, self._retention.start(days, dry=request.args["dry_run"])))

    def _suspect(self, request: Request) -> None:
        self._engine.books.suspect()
        self._link.answer(request, {})

    def _sync(self, request: Request) -> None:
        began, written = self._engine.clock.now(), self._engine.patrol.written
        benchmarks = sync_benchmarks(self._engine, self._benchmarks_dir)
        self._syncs.append((request, benchmarks, self._engine.rescan(), written, began))


def sync_benchmarks(engine: Engine, folder: str) -> dict[str, Any]:
    """Makes the table of benchmarks say what the folder holds: {inserted, updated, unchanged, failed, failed_total}.

    `failed` names the first MOST_TOLD of the files that are no case.
    """
    found, failures = catalog.read(folder)
    stored = engine.store.benchmarks()
    new = [b for b in found if b.id not in stored]
    changed = [b for b in found if b.id in stored and stored[b.id] != b]
    kept = {b.id for b in found} | {name for name, b in stored.items() if b.path in {f.path for f in failures}}
    if new or changed or stored.keys() - kept:
        engine.store.replace_benchmarks([*new, *changed], stored.keys() - kept)
    return {
        "inserted": len(new),
        "updated": len(changed),
        "unchanged": len(found) - len(new) - len(changed),
        "failed": [failure._asdict() for failure in failures[:MOST_TOLD]],
        "failed_total": len(failures),
    }
