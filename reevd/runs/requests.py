"""Run, stop and upsert, as the API asks for them over the link."""

from __future__ import annotations

import uuid
from typing import Any

import apsw

from reevd import catalog
from reevd.engine import Engine
from reevd.link import RefusedError
from reevd.model import Execution, Status
from reevd.reconciler import StoringError
from reevd.runs.executor import Executor, FullError
from reevd.runs.job import Job, order


def run(engine: Engine, executor: Executor, asked: dict[str, Any]) -> dict[str, Any]:
    """asked: {benchmark_id, body, uid}. Answers {execution_id, status}. Raises RefusedError."""
    benchmark_id = asked["benchmark_id"]
    doing = f"starting a run of {benchmark_id!r}"
    benchmark = engine.store.benchmarks().get(benchmark_id)
    if benchmark is None:
        hint = "list them with GET /api/v1/benchmarks; a new file is read by POST /api/v1/sync"
        raise RefusedError(404, f"{doing}: reevd knows no such benchmark: {hint}")
    try:
        wanted = order(asked["body"], executor.agents)
    except ValueError as error:
        raise RefusedError(400, f"{doing}: {error}") from error
    execution_id = wanted.execution_id or str(uuid.uuid4())
    if execution_id in executor or engine.store.known([execution_id]).executions:
        raise RefusedError(409, f"{doing}: there is an execution {execution_id!r}: give another id, or none")
    job = Job(
        execution_id,
        benchmark_id,
        benchmark.path,
        wanted.agent,
        wanted.timeout_seconds,
        wanted.rpc_url,
        engine.clock.now(),
        asked["uid"],
    )
    try:
        executor.submit(job)
    except FullError as error:
        raise RefusedError(429, f"{doing}: {error}: try again when some of them have ended") from error
    except (StoringError, apsw.Error, OSError) as error:
        raise _not_durable(doing, error) from error
    return {"execution_id": execution_id, "status": Status.QUEUED}


def stop(engine: Engine, executor: Executor, asked: dict[str, Any]) -> dict[str, Any]:
    """asked: {benchmark_id, execution_id, uid}. Answers {} once it is stopped, for good. Raises RefusedError."""
    execution_id = asked["execution_id"]
    doing = f"stopping {execution_id!r}"
    row = engine.store.known([execution_id]).executions.get(execution_id)
    if row is None or row.benchmark_id != asked["benchmark_id"]:
        raise RefusedError(404, f"{doing}: {asked['benchmark_id']!r} has no such execution: see GET /api/v1/executions")
    _still_under_way(row, doing)
    try:
        executor.stop(row, asked["uid"], engine.clock.now())
    except (StoringError, apsw.Error, OSError) as error:
        raise _not_durable(doing, error) from error
    return {}


def upsert(folder: str, asked: dict[str, Any]) -> catalog.Benchmark:
    """asked: {body}. Writes the case into the folder of the benchmarks. Raises RefusedError."""
    body = asked["body"]
    text = body.get("yml_content") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise RefusedError(400, 'storing a benchmark: the body is no {"yml_content": "the YAML as one text"}')
    try:
        return catalog.put(folder, text)
    except ValueError as error:
        raise RefusedError(422, f"storing a benchmark: it is not valid: {error}") from error
    except OSError as error:
        why = f"{error.strerror}: see that reevd may write there"
        raise RefusedError(503, f"storing a benchmark in {folder}: {why}") from error


def _still_under_way(row: Execution, doing: str) -> None:
    if Status(row.status).terminal:
        raise RefusedError(409, f"{doing}: it ended as {row.status} at {row.ended_at}: there is nothing to stop")


def _not_durable(doing: str, error: Exception) -> RefusedError:
    why = str(error) or type(error).__name__
    return RefusedError(503, f"{doing}: it cannot be stored now: {why}: try again when the health says that it can")
