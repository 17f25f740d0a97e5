"""Starts what is queued, in order, while there is a free slot; sees each runner's end, and that it ends.

What a run's state is, its files say, and the engine. The executor adds what no file can: that it is queued, that
it was stopped, that its runner died and what it complained of.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import apsw
import structlog

from reevd.engine import Engine
from reevd.model import Decision, DecisionKind, Execution, Status
from reevd.reconciler import StoringError
from reevd.runs.agents import Agents
from reevd.runs.job import Job
from reevd.runs.launch import Launch
from reevd.runs.process import Runner, find
from reevd.runs.redact import redact
from reevd.runs.spool import Spool
from reevd.session_file import dumps

LOOK_SECONDS = 1.0
STDERR = 2_000  # characters of it that are stored
MOST_QUEUED = 10_000
QUEUED = "queued: its runner is started as soon as a slot is free"

log = structlog.get_logger("reevd.runs")


class FullError(Exception):
    """The queue takes no more."""


class _Run(NamedTuple):
    """A run under way; seconds on the monotonic clock. `ends_at`: when it is asked to end, then made to."""

    job: Job
    process: Runner
    ends_at: float
    asked: bool = False


Start = Callable[[Sequence[str], Mapping[str, str], int], Runner]


class Executor:
    """`slots`: how many at once. `grace`: seconds that a runner may take to end after it was asked to, or should have.

    `start`: gives the command, with this environment and stderr, to a process. Raises StoringError, apsw.Error and
    OSError where what was asked for could not be made durable.
    """

    def __init__(self, engine: Engine, spool: Spool, launch: Launch, start: Start, *, slots: int, grace: float) -> None:
        self._engine, self._spool, self.launch, self._start = engine, spool, launch, start
        self.slots, self.grace = slots, grace
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._runs: dict[str, _Run] = {}
        jobs = {job.execution_id: job for job in spool.jobs()}
        for execution_id, process in find(list(jobs)).items():
            self._watch(jobs.pop(execution_id), process)
            log.info("runner found again", execution_id=execution_id, pid=process.pid)
        self._queue = jobs
        self._unproven = set(jobs)
        self._dead: dict[str, tuple[Job, str]] = {}
        self._agents = Agents(launch)
        engine.patrol.held = self

    def __contains__(self, execution_id: object) -> bool:
        """Whether it waits for a free slot here, or its runner is ours and lives."""
        return execution_id in self._queue or execution_id in self._runs

    def close(self) -> None:
        """The runners go on: the next daemon finds them again."""
        self._agents.close()
        for execution_id, run in sorted(self._runs.items()):
            log.info("runner goes on", execution_id=execution_id, pid=run.process.pid)

    @property
    def agents(self) -> list[str]:
        """Those that the runner knows; none until it has said so."""
        return self._agents.known

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return len(self._runs)

    def submit(self, job: Job) -> None:
        """Queued, and durable, once this returns. Raises FullError."""
        if len(self._queue) >= MOST_QUEUED:
            raise FullError(f"{MOST_QUEUED:,} runs are queued")
        try:
            self._spool.add(job)
            self._queue[job.execution_id] = job
            self._decide(job, "queued", QUEUED)
        except BaseException:
            self._queue.pop(job.execution_id, None)
            self._spool.remove(job.execution_id)
            raise

    def stop(self, execution: Execution, uid: int, now: int) -> None:
        """Stopped, and durable, once this returns; its runner, where it is ours, is ended."""
        execution_id = execution.execution_id
        run, job = self._runs.get(execution_id), self._queue.get(execution_id)
        why = f"stopped by user {uid}" + ("" if run or job else "; its runner is none of reevd's, and may go on")
        self._engine.decide(Decision(execution_id, "stopped", now, why, execution.benchmark_id, execution.agent))
        log.info("stopped", execution_id=execution_id, uid=uid)
        if run:
            self._end(run)
        elif job:
            del self._queue[execution_id]
            self._unproven.discard(execution_id)
            self._spool.remove(execution_id)

    def step(self) -> float:
        """One round. Returns the seconds until the next is due; a runner's end calls for it sooner."""
        now = time.monotonic()
        try:
            self._prove()
            for run in [run for run in self._runs.values() if run.process.ended]:
                self._bury(run)
            for job, why in list(self._dead.values()):
                self._settle(job, why)
            self._start_next()
            for run in [run for run in self._runs.values() if now >= run.ends_at]:
                self._enforce(run)
            if now >= self._look_at:
                self._look_at = now + LOOK_SECONDS
                self._look()
        except (StoringError, apsw.Error, OSError) as error:
            log.warning("the executor waits", error=str(error) or type(error).__name__)
            return LOOK_SECONDS
        except Exception:
            # A defect, but no reason to leave everybody's results without a daemon, at each start again.
            log.exception("the executor failed", retry="in a moment")
            return LOOK_SECONDS
        due = min((run.ends_at for run in self._runs.values()), default=now + LOOK_SECONDS)
        return 0.0 if self._dead else max(0.0, min(due, self._look_at) - now)

    # -- from the queue to the end -----------------------------------------------------------------------------

    def _prove(self) -> None:
        """After a restart: a job whose place in the queue was never stored, or whose runner ended meanwhile."""
        for execution_id in list(self._unproven):
            if not self._engine.ready:
                return
            row, job = self._row(execution_id), self._queue[execution_id]
            if row is None:
                self._decide(job, "queued", QUEUED)
            elif row.status != Status.QUEUED:
                del self._queue[execution_id]
                self._dead[execution_id] = job, "its runner ended while reevd was restarted"
            self._unproven.discard(execution_id)

    def _start_next(self) -> None:
        while self._queue and len(self._runs) < self.slots and not self._unproven:
            job = next(iter(self._queue.values()))
            command = self.launch.command(job)
            self._decide(job, "started", self.launch.mode)  # a runner that dies at once tells of it in no file
            stderr = self._spool.open_stderr(job.execution_id)
            try:
                process = self._start(command, self.launch.environment(job.execution_id), stderr)
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not keep the others from their turn
                del self._queue[job.execution_id]
                why = error.strerror if isinstance(error, OSError) else error
                self._dead[job.execution_id] = job, f"its runner could not be started: {command[0]}: {why}"
                continue
            finally:
                os.close(stderr)
            del self._queue[job.execution_id]
            self._watch(job, process)
            log.info("started", execution_id=job.execution_id, mode=self.launch.mode)

    def _watch(self, job: Job, process: Runner) -> None:
        self._engine.poll.register(process, select.EPOLLIN)
        ends_at = time.monotonic() + job.timeout_seconds + self.grace
        self._runs[job.execution_id] = _Run(job, process, ends_at)

    def _bury(self, run: _Run) -> None:
        """Its process has ended, so its files say all that they will ever say."""
        execution_id = run.job.execution_id
        del self._runs[execution_id]
        self._dead[execution_id] = run.job, "its runner ended and left no result"
        self._engine.poll.unregister(run.process)
        how = run.process.close()
        log.info("ended", execution_id=execution_id, how=how)
        self._dead[execution_id] = run.job, f"{how} and left no result"

    def _settle(self, job: Job, why: str) -> None:
        """Its end is stored, with what the runner complained of where it left no result; then the job is done."""
        self._engine.patrol.look(job.execution_id)
        row = self._row(job.execution_id)
        if row is None or row.result_data is None:
            # Cut only once no secret stands in it any more: half a key would be found by no search for the whole.
            complaint = redact(self._spool.stderr(job.execution_id), self.launch.environ)[-STDERR:].lstrip()
            self._decide(job, "lost", f"{why}: {complaint}" if complaint else why)
        self._spool.remove(job.execution_id)
        del self._dead[job.execution_id]

    def _enforce(self, run: _Run) -> None:
        """It should have ended by now: it is asked to, then made to."""
        if run.asked:
            log.warning("killed", execution_id=run.job.execution_id, pid=run.process.pid)
            run.process.signal(signal.SIGKILL)
            self._runs[run.job.execution_id] = run._replace(ends_at=time.monotonic() + self.grace)
            return
        why = f"its runner did not end within {run.job.timeout_seconds:g} s"
        row = self._row(run.job.execution_id)
        if row is None or not Status(row.status).terminal:
            self._decide(run.job, "timed_out", why)
        self._end(run)

    def _end(self, run: _Run) -> None:
        run.process.signal(signal.SIGTERM)
        ends_at = time.monotonic() + self.grace
        self._runs[run.job.execution_id] = run._replace(ends_at=ends_at, asked=True)

    def _look(self) -> None:
        """A run that has an end needs no runner; and no runner may fill the disk with complaints."""
        if self._agents.ask() or (self.agents and self._engine.store.meta("agents") is None):
            self._engine.store.note("agents", dumps(self.agents))
        for run in list(self._runs.values()):
            self._spool.trim(run.job.execution_id)
            row = self._row(run.job.execution_id)
            if row and Status(row.status).terminal and not run.asked:
                soon = time.monotonic() + self.grace
                self._runs[run.job.execution_id] = run._replace(ends_at=min(run.ends_at, soon))

    def _row(self, execution_id: str) -> Execution | None:
        return self._engine.store.known([execution_id]).executions.get(execution_id)

    def _decide(self, job: Job, kind: DecisionKind, why: str) -> None:
        at = job.at if kind == "queued" else self._engine.clock.now()
        self._engine.decide(Decision(job.execution_id, kind, at, why, job.benchmark_id, job.agent))
