"""What the engine measures: how long a file takes to be seen, what waits, what went wrong."""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Callable, Mapping
from functools import partial

from opentelemetry.metrics import CallbackOptions, Observation

from reevd.engine import Engine
from reevd.exposition import Exposition
from reevd.feed.outbox import OUTBOX, tallies
from reevd.retention import Retention
from reevd.runs.executor import Executor

LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
# Latencies that are recorded at once, and that may wait until nothing else is to be done.
PART, MOST_WAITING = 500, 100_000
TRANSACTION = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Meters:
    """Listens to the patrol from the moment that it is made; the rest is looked up when somebody asks."""

    def __init__(
        self, engine: Engine, executor: Executor, retention: Retention, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._exposition = Exposition("engine", environ)
        meter = self._exposition.meter
        self._latency = meter.create_histogram(
            "reevd.ingest.latency",
            "s",
            "From a file's last change to the commit that shows it.",
            explicit_bucket_boundaries_advisory=LATENCY,
        )
        self._transaction = meter.create_histogram(
            "reevd.transaction.duration",
            "s",
            "Of the transactions that store what was read.",
            explicit_bucket_boundaries_advisory=TRANSACTION,
        )
        self._engine, self._latencies = engine, array("d")
        engine.patrol.measure = self._measure

        def observe(value: Callable[[], float]) -> list[Callable[[CallbackOptions], list[Observation]]]:
            return [lambda _: [Observation(value())]]

        counters: dict[str, tuple[Callable[[], float], str]] = {
            "reevd.rescans": (lambda: engine.scans, "Full scans of the sessions folder."),
            "reevd.overflows": (
                lambda: engine.health().overflows,
                "Times that events were lost, which a full scan made good.",
            ),
            "reevd.rows.stored": (lambda: engine.patrol.written, "Rows of executions that were written."),
            "reevd.executions.removed": (lambda: retention.removed, "Executions that retention removed."),
            "reevd.feed.removed": (
                lambda: retention.untold,
                "Executions that were removed before all were told of them.",
            ),
        }
        for name, (value, text) in counters.items():
            meter.create_observable_counter(name, observe(value), description=text)
        gauges: dict[str, tuple[Callable[[], float], str, str]] = {
            "reevd.pending": (lambda: engine.health().pending, "", "Executions that wait for a look."),
            "reevd.problems": (lambda: engine.problems, "", "Files that cannot be read or are odd."),
            "reevd.degraded": (
                lambda: int(bool(engine.health().reasons)),
                "",
                "1 where something is not as it should be.",
            ),
            "reevd.polling": (lambda: int(engine.health().mode != "inotify"), "", "1 where inotify cannot be had."),
            "reevd.wal.size": (lambda: _size(engine.store.path + "-wal"), "By", "Of SQLite's write-ahead log."),
            "reevd.database.size": (lambda: _size(engine.store.path), "By", "Of the database."),
            "reevd.runs.queued": (lambda: executor.queued, "", "Runs that wait for a free slot."),
            "reevd.runs.running": (lambda: executor.running, "", "Runs that reevd started and that go on."),
        }
        for name, (value, unit, text) in gauges.items():
            meter.create_observable_gauge(name, observe(value), unit, text)
        told = [
            ("reevd.feed.sent", "sent", "Outcomes that a collector, a command or a webhook took."),
            ("reevd.feed.failed", "failed", "Attempts to tell them that failed."),
            ("reevd.feed.given.up", "given_up", "Outcomes that could not be told."),
        ]
        for name, column, text in told:
            meter.create_observable_counter(name, [partial(_followers, engine, column)], description=text)
        text = "Outcomes that are still to be told."
        meter.create_observable_gauge("reevd.feed.waiting", [partial(_followers, engine, "waiting")], description=text)

    def _measure(self, latencies: list[float], transaction: float) -> None:
        self._transaction.record(transaction)
        self._latencies.extend(latencies)
        if len(self._latencies) >= MOST_WAITING:
            self._record(MOST_WAITING)

    def step(self) -> float:
        """To be called again and again. Returns the seconds until the next time.

        What a burst measured is recorded after it: for each file that takes a tenth of the time of the look at it.
        """
        if self._latencies and self._engine.idle:
            self._record(PART)
            return 0.0
        return math.inf

    def _record(self, most: int) -> None:
        for latency in self._latencies[:most]:
            self._latency.record(latency)
        del self._latencies[:most]

    def text(self) -> str:
        self._record(len(self._latencies))
        return self._exposition.text().decode()

    def close(self) -> None:
        self._exposition.close()


def _followers(engine: Engine, column: str, _: CallbackOptions) -> list[Observation]:
    told = tallies(engine.store.path + OUTBOX)
    return [Observation(getattr(tally, column), {"follower": name}) for name, tally in told.items()]


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
