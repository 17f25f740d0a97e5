"""Freezes a database of today's schema: `python -m tests.record_database` makes fixtures/db/v<version>.sqlite3.

Made once for each released version, before the next migration is written. One that stands is never made again: it
is what somebody's disk holds.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from reevd.derive import Limits
from reevd.desk import sync_benchmarks
from reevd.engine import Engine
from reevd.schema import VERSION
from tests.harness import ROOT, leave, session
from tests.unit.test_fixtures import SettledClock

NAME = f"v{VERSION}"
FOLDER = ROOT / "fixtures" / "db"
FAILED = {"success": False, "score": 0.75, "error": "custom program error: 0x1"}
CALLS = (
    {"event_type": "Prompt", "timestamp": "2026-01-01T00:00:00Z", "prompt": {"user_prompt": "Send it."}},
    {"event_type": "ToolInput", "tool_input": {"tool_name": "sol_transfer", "tool_args": {"amount": 1}}},
    {"event_type": "ToolOutput", "tool_output": {"success": True, "results": "✅"}, "timing": {"step_timeuse_ms": 12}},
    {"event_type": "ToolInput", "tool_input": {"tool_name": "left_open", "tool_args": None}},
)


class FrozenClock(SettledClock):
    """Of no real boot: deadlines stand as they were recorded."""

    @staticmethod
    def boot() -> str:
        return "recorded"


def fill(folder: Path, database: Path) -> None:
    """One execution of each kind, a file in trouble, the cases."""
    folder.mkdir()
    leave(folder, f"{NAME}-completed", session(f"{NAME}-completed", metadata={"model": "é"}))
    lines = "".join(json.dumps(line) + "\n" for line in CALLS)
    (folder / f"enhanced_otel_{NAME}-completed.jsonl").write_text(lines)
    leave(folder, f"{NAME}-failed", session(f"{NAME}-failed", final_result=FAILED))
    leave(folder, f"{NAME}-stub", session(f"{NAME}-stub", end_time=None, final_result=None))
    leave(folder, f"{NAME}-garbled", "{")
    leave(folder, "-no-id", "{}")
    clock = FrozenClock()
    engine = Engine(str(folder), str(database), clock=clock, limits=Limits(silence=5))
    sync_benchmarks(engine, "benchmarks")
    engine.settle()
    clock.at += 1_000_000
    engine.settle()  # the next tick: the stub has been silent for too long
    engine.close()
    leave(folder, f"{NAME}-running", session(f"{NAME}-running", end_time=None, final_result=None))
    engine = Engine(str(folder), str(database), clock=clock)
    engine.settle()
    engine.close()


def record() -> Path:
    """Returns the file; FileExistsError where this version is frozen already."""
    kept = FOLDER / f"{NAME}.sqlite3"
    if kept.exists():
        raise FileExistsError(f"{kept} stands: a released version does not change")
    FOLDER.mkdir(exist_ok=True)
    os.chdir(ROOT)  # the cases are stored with their paths, which must be nobody's
    with tempfile.TemporaryDirectory() as home:
        database = Path(home) / "db"
        fill(Path(home) / "sessions", database)
        shutil.copyfile(database, kept)
    return kept


if __name__ == "__main__":
    try:
        print(record())
    except FileExistsError as error:
        sys.exit(f"Error: {error}")
