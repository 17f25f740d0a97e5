"""Records what our runner leaves today as fixtures: `python -m tests.record_fixtures`.

Each case becomes fixtures/sessions/recorded-<case>/ with its two files and what the daemon makes of them, which
whoever records must read before it is committed. The execution id is the case's, so that a new recording
shows as a change of the same files.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

from reevd.engine import Engine
from tests.demo import CASES
from tests.harness import ROOT, run_runner
from tests.unit.test_fixtures import SettledClock, told

FIELDS = (
    "benchmark_id",
    "agent",
    "status",
    "score",
    "progress",
    "error_message",
    "created_at",
    "started_at",
    "ended_at",
    "source_state",
    "tool_calls",
    "warnings",
    "metadata",
)


def record(case: str) -> Path:
    """Runs the case and keeps its files with what becomes of them. Returns the folder."""
    kept = ROOT / "fixtures" / "sessions" / f"recorded-{case}"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as home:
        sessions = Path(home) / "sessions"
        yml = str(ROOT / "benchmarks" / f"{case}.yml")
        done = run_runner(Path(home), yml, "--execution-id", f"recorded-{case}", "--sessions-dir", str(sessions))
        print(done.stdout, done.stderr, file=sys.stderr)
        engine = Engine(str(sessions), str(Path(home) / "db"), clock=SettledClock())
        engine.settle()
        for path in sessions.iterdir():
            shutil.copyfile(path, kept / path.name)
        expected = told(engine, kept)
        engine.close()
    for execution_id, row in expected["executions"].items():
        expected["executions"][execution_id] = {name: row[name] for name in FIELDS}
    (kept / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return kept


if __name__ == "__main__":
    for name in CASES:
        print(record(name))
