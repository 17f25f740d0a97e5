"""What is asked of the executor and cannot be had now, or ever."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from reevd.catalog import Benchmark
from reevd.link import RefusedError
from reevd.runs import process, requests
from reevd.runs.executor import Executor, Start
from reevd.runs.job import Job
from reevd.runs.launch import MARK, Launch
from reevd.runs.process import Runner
from reevd.runs.spool import Spool
from reevd.times import SECOND
from tests.integration.conftest import Bench


def never(_command: Sequence[str], _environ: Mapping[str, str], _stderr: int) -> Runner:
    raise AssertionError("there is no free slot")


def opened(bench: Bench, start: Start = never, *, slots: int = 0) -> Executor:
    """Over an engine that knows one case; its runner leaves no result."""
    engine = bench.start()
    engine.store.replace_benchmarks([Benchmark("case", "case.yml", "", "[]", "", "id: case")], set())
    launch = Launch("installed", ("false",), str(bench.sessions), {"PATH": os.defpath})
    return Executor(engine, Spool(str(bench.home / "spool")), launch, start, slots=slots, grace=1.0)


def run(bench: Bench, executor: Executor, execution_id: str) -> str:
    assert bench.engine is not None
    body = {"agent": "deterministic", "execution_id": execution_id}
    return requests.run(bench.engine, executor, {"benchmark_id": "case", "body": body, "uid": 0})["status"]


def spooled(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.home / "spool").iterdir())


def fails(bench: Bench, executor: Executor, execution_id: str) -> str:
    """Steps both until it has failed: why."""
    bench.until(lambda: executor.step() >= 0 and bench.status(execution_id) == "Failed", f"{execution_id} has failed")
    row = bench.row(execution_id)
    assert row is not None
    return row.reason


def test_a_queue_that_is_full_refuses_until_there_is_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reevd.runs.executor.MOST_QUEUED", 2)
    executor = opened(bench)
    assert bench.engine is not None
    assert [run(bench, executor, name) for name in ("a", "b")] == ["Queued", "Queued"]
    with pytest.raises(RefusedError, match="2 runs are queued: try again when some of them have ended") as refused:
        run(bench, executor, "c")
    assert refused.value.status == 429
    assert bench.row("c") is None
    assert spooled(bench) == ["a.json", "b.json"]
    requests.stop(bench.engine, executor, {"benchmark_id": "case", "execution_id": "a", "uid": 0})
    assert run(bench, executor, "c") == "Queued"
    executor.close()


def test_a_job_that_did_not_become_durable_is_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands under its name already when the disk fails: a new daemon would start what was refused."""
    executor = opened(bench)

    def failing(_: Spool) -> None:
        raise OSError(errno.EIO, "the folder cannot be synced")

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "_sync", failing)
        with pytest.raises(RefusedError, match="cannot be synced"):
            run(bench, executor, "a")
    assert (executor.queued, spooled(bench), bench.row("a")) == (0, [], None)
    assert run(bench, executor, "a") == "Queued"
    executor.close()


def test_a_run_that_no_command_line_can_hold_fails_and_the_next_one_begins(bench: Bench) -> None:
    """Such addresses were taken once, and may stand in a spool."""
    spool = Spool(str(bench.home / "spool"))
    spool.add(Job("unfit", "case", "case.yml", "deterministic", 30.0, "http://x/\0", SECOND, 0))
    executor = opened(bench, process.start, slots=1)
    assert fails(bench, executor, "unfit") == "its runner could not be started: false: embedded null byte"
    run(bench, executor, "next")
    assert "exit status 1" in fails(bench, executor, "next")
    bench.until(lambda: executor.step() >= 0 and not spooled(bench), "both jobs are cleared away")
    executor.close()


def test_a_defect_where_it_is_started_costs_one_run_alone(bench: Bench) -> None:
    def start(command: Sequence[str], environ: Mapping[str, str], stderr: int) -> Runner:
        if environ[MARK] == "a":
            raise KeyError("a defect")
        return process.start(command, environ, stderr)

    executor = opened(bench, start, slots=1)
    run(bench, executor, "a")
    run(bench, executor, "next")
    assert "a defect" in fails(bench, executor, "a")
    assert "exit status 1" in fails(bench, executor, "next")
    executor.close()


def test_a_defect_of_the_executor_ends_no_daemon_and_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = opened(bench, process.start, slots=1)
    run(bench, executor, "a")
    with monkeypatch.context() as patch, capture_logs() as told:
        patch.setattr(Launch, "command", lambda *_: {}["a defect"])
        assert executor.step() > 0, "it is no reason to spin"
    assert [(each["event"], each["log_level"]) for each in told] == [("the executor failed", "error")]
    assert "exit status 1" in fails(bench, executor, "a")
    executor.close()


def test_an_id_that_waits_in_the_queue_is_taken_whatever_the_database_says(bench: Bench) -> None:
    """While it is made anew, it knows nothing of it yet."""
    executor = opened(bench, process.start, slots=0)
    run(bench, executor, "a")
    assert bench.engine is not None
    with bench.engine.store.transaction():
        bench.engine.store.db.execute("DELETE FROM execution_states")
    with pytest.raises(RefusedError, match="there is an execution"):
        run(bench, executor, "a")
    assert (executor.queued, spooled(bench)) == (1, ["a.json"])
    executor.close()
