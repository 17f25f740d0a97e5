"""What the tests of the database share: runs of several kinds, and an engine that has come to rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from tests.harness import leave, session
from tests.integration.conftest import Bench

CALLS = [
    {"event_type": "ToolInput", "tool_input": {"tool_name": "t", "tool_args": {"n": 1}}},
    {"event_type": "ToolOutput", "tool_output": {"success": True, "results": "done"}},
]


def leave_telemetry(bench: Bench, execution_id: str, calls: int) -> None:
    path = bench.sessions / f"enhanced_otel_{execution_id}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in CALLS * calls))


def rest(bench: Bench) -> None:
    """Until nothing waits and every reading counts."""
    engine = bench.engine
    assert engine is not None
    scan = engine.rescan()
    bench.until(lambda: engine.scans >= scan and not engine.health().pending and engine.idle, "all at rest")


def fill(bench: Bench, runs: int = 40) -> None:
    """Runs with their files, one whose file is gone, tool calls; then the engine is closed."""
    bench.start()
    for number in range(runs):
        leave(bench.sessions, f"r{number}", session(f"r{number}", metadata={"long": "x" * 1000}))
    leave_telemetry(bench, "r0", 3)
    leave(bench.sessions, "gone", session("gone", final_result={"success": False, "score": 0.75}))
    rest(bench)
    (bench.sessions / "session_gone.json").unlink()
    bench.until(lambda: (row := bench.row("gone")) and row.source_state == "gone", "its file is gone")


def statuses(bench: Bench) -> dict[str, tuple[str, float, str, int]]:
    assert bench.engine is not None
    query = "SELECT execution_id, status, score, source_state, tool_calls FROM execution_states ORDER BY execution_id"
    return {row[0]: row[1:] for row in bench.engine.store.rows(query)}


def damaged(bench: Bench) -> list[Path]:
    return [path for path in bench.home.glob("state.sqlite3.damaged-*") if not path.name.endswith(("-wal", "-shm"))]


@contextmanager
def open_copy(path: Path) -> Iterator[apsw.Connection]:
    """A copy of a closed database: the original keeps its locks and its bytes."""
    copy = shutil.copyfile(path, path.with_name("copy"))
    db = apsw.Connection(str(copy))
    try:
        yield db
    finally:
        db.close()
