"""Every folder below fixtures/sessions is a sessions folder and what must become of it: `expected.json`.

A new folder is a new test. Only the fields that are named there are compared.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reevd.bounds import Pace
from reevd.clock import Clock
from reevd.engine import Engine
from tests.harness import ROOT

CASES = sorted(path for path in (ROOT / "fixtures" / "sessions").iterdir() if path.is_dir())
CALL = "tool_name", "status", "started_at", "duration_ms", "params", "result", "error_message"
JSON = ("result_data", "metadata", "warnings", "params", "result")


class SettledClock(Clock):
    """Some seconds ahead, so that everything has come to rest; and standing still."""

    def __init__(self) -> None:
        super().__init__()
        self.at = super().now() + 10_000_000
        self.base += 10_000_000_000

    def now(self) -> int:
        return self.at

    def stamp(self) -> int:
        return self.at * 1000

    def step(self) -> int:
        return 0


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for all cases: they have ids of their own."""
    home = tmp_path_factory.mktemp("fixtures")
    made = Engine(str(home / "sessions"), str(home / "db"), clock=SettledClock(), pace=Pace(rescan=3600))
    yield made
    made.close()


def told(engine: Engine, case: Path) -> dict[str, Any]:
    """What the database says of the case's executions, in the shape of expected.json."""
    names = {path.name for path in case.iterdir()}
    rows = [
        r
        for r in engine.store.rows("SELECT execution_id, session_file, otel_file FROM execution_states")
        if names & {*r[1:]}
    ]
    executions, calls = {}, {}
    for execution_id, _, _ in rows:
        row = engine.store.known([execution_id]).executions[execution_id]
        executions[execution_id] = {k: _value(k, v) for k, v in row._asdict().items()}
        query = f"SELECT {', '.join(CALL)} FROM tool_calls WHERE execution_id = ? ORDER BY seq"
        found = engine.store.rows(query, (execution_id,))
        if found:
            calls[execution_id] = [{k: _value(k, v) for k, v in zip(CALL, call, strict=True)} for call in found]
    problems = engine.store.rows("SELECT path, kind FROM problems ORDER BY path")
    return {
        "executions": executions,
        "tool_calls": calls,
        "problems": [{"path": path, "kind": kind} for path, kind in problems if path in names],
    }


def _value(name: str, value: Any) -> Any:
    return json.loads(value) if name in JSON and value is not None else value


def _named(expected: Any, found: Any) -> Any:
    """`found` with only the fields that `expected` names."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {
            key: _named(expected[key], found[key]) if key in expected else found[key]
            for key in found
            if key in expected
        }
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [_named(a, b) for a, b in zip(expected, found, strict=True)]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_the_files_become_what_is_expected(case: Path, engine: Engine) -> None:
    expected = json.loads((case / "expected.json").read_text())
    folder = Path(engine._lookout.path)
    for path in sorted(case.iterdir()):
        if path.name != "expected.json":
            shutil.copyfile(path, folder / path.name)
    engine.settle()
    found = told(engine, case)
    assert set(found["executions"]) == set(expected["executions"])
    assert _named(expected, found) == expected
    written = engine.patrol.written
    engine.settle()
    assert engine.patrol.written == written, "a second look must change nothing"
