"""What is asked of the executor and cannot be had now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from reevd.catalog import Benchmark
from reevd.link import RefusedError
from reevd.runs import requests
from reevd.runs.executor import Executor
from reevd.runs.launch import Launch
from reevd.runs.process import Runner
from reevd.runs.spool import Spool
from tests.integration.conftest import Bench


def never(_command: Sequence[str], _environ: Mapping[str, str], _stderr: int) -> Runner:
    raise AssertionError("there is no free slot")


def test_a_queue_that_is_full_refuses_until_there_is_room(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reevd.runs.executor.MOST_QUEUED", 2)
    engine = bench.start()
    engine.store.replace_benchmarks([Benchmark("case", "case.yml", "", "[]", "", "id: case")], set())
    launch = Launch("installed", ("none",), str(bench.sessions), {})
    executor = Executor(engine, Spool(str(tmp_path / "spool")), launch, never, slots=0, grace=1.0)

    def run(execution_id: str) -> dict[str, str]:
        body = {"agent": "deterministic", "execution_id": execution_id}
        return requests.run(engine, executor, {"benchmark_id": "case", "body": body, "uid": 0})

    assert [run(name)["status"] for name in ("a", "b")] == ["Queued", "Queued"]
    with pytest.raises(RefusedError, match="2 runs are queued: try again when some of them have ended") as refused:
        run("c")
    assert refused.value.status == 429
    assert bench.row("c") is None
    assert sorted(path.name for path in (tmp_path / "spool").iterdir()) == ["a.json", "b.json"]
    requests.stop(engine, executor, {"benchmark_id": "case", "execution_id": "a", "uid": 0})
    assert run("c")["status"] == "Queued"
    executor.close()
