"""Writes fixtures/golden/ anew: `python -m tests.record_golden`; whoever does must read the change before it is
committed.

One file for each folder of fixtures/sessions: what the API says of its executions, as people read it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reevd.bounds import Pace
from reevd.engine import Engine
from tests.asgi import ask
from tests.harness import ROOT
from tests.unit.test_fixtures import CASES, SettledClock

GOLDEN = ROOT / "fixtures" / "golden"


def told(cases: list[Path]) -> dict[str, str]:
    """For each case by name what the API says of it, from a database that holds them all."""
    with tempfile.TemporaryDirectory() as home:
        sessions, database = Path(home) / "sessions", Path(home) / "db"
        engine = Engine(str(sessions), str(database), clock=SettledClock(), pace=Pace(rescan=3600))
        for path in (path for case in cases for path in case.iterdir()):
            if path.name != "expected.json":
                shutil.copyfile(path, sessions / path.name)
        engine.settle()
        query = "SELECT execution_id, benchmark_id, session_file, otel_file FROM execution_states ORDER BY execution_id"
        rows = engine.store.rows(query)
        engine.close()
        return {case.name: "\n".join(_case(str(database), case, rows)) for case in cases}


def _case(database: str, case: Path, rows: list[tuple[Any, ...]]) -> Iterator[str]:
    names = {path.name for path in case.iterdir()}
    for execution_id, benchmark_id, *files in rows:
        if not names & {*files}:
            continue
        which = f"{quote(benchmark_id, safe='')}?execution_id={execution_id}"
        (_, trace), (_, nested), (_, plain), (_, flow) = ask(
            database,
            f"/api/v1/execution-logs/{which}",
            f"/api/v1/transaction-logs/{which}&show_cu=true",
            f"/api/v1/transaction-logs/{which}&format=plain",
            f"/api/v1/flows/{execution_id}",
        )
        yield from (f"==== {execution_id}: trace ({trace['message']})", trace["trace"])
        yield f"==== {execution_id}: transactions ({nested['message']})"
        if nested["transaction_logs"]:
            yield from (nested["transaction_logs"], f"==== {execution_id}: plain", plain["transaction_logs"])
        yield from (f"==== {execution_id}: flow ({flow['metadata']['message']})", flow["diagram"])
        yield ""


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, text in told(CASES).items():
        (GOLDEN / f"{name}.txt").write_text(text)
        print(GOLDEN / f"{name}.txt")
