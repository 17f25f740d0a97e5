"""Log lines: what ended is said once, a burst of it briefly, and the journal knows how urgent a line is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from reevd.endings import LINES_A_SECOND
from reevd.engine import Engine
from tests.harness import leave, session

LINES = """
import logging, structlog
from reevd import log
outlet = log.configure("FORMAT")
structlog.get_logger("x").info("fine")
structlog.get_logger("x").warning("odd")
logging.getLogger("library").error("broken")
try: 1 / 0
except ZeroDivisionError: structlog.get_logger("x").exception("failed")
"""


def written(log_format: str, *, journal: bool) -> list[str]:
    reading, writing = os.pipe()
    stream = os.fstat(writing)
    named = f"{stream.st_dev}:{stream.st_ino + (not journal)}"
    command = [sys.executable, "-c", LINES.replace("FORMAT", log_format)]
    with open(reading) as pipe:
        subprocess.run(command, stderr=writing, env={**os.environ, "JOURNAL_STREAM": named}, check=True)
        os.close(writing)
        return pipe.read().splitlines()


def test_the_journal_gets_each_line_with_its_priority() -> None:
    lines = written("json", journal=True)
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>", "<3>"]
    assert [json.loads(line[3:])["event"] for line in lines] == ["fine", "odd", "broken", "failed"]
    assert {line[:3] for line in written("console", journal=True)[3:]} == {"<3>"}, "each line of a traceback"


HOSTILE = """
import structlog
from reevd import log
outlet = log.configure("console")
structlog.get_logger("x").info("ended", agent="\\x1b[2Jred\\x9bm", lines="one\\ntwo")
try: raise ValueError("\\x1b]0;title\\x07")
except ValueError: structlog.get_logger("x").exception("failed")
"""


def test_a_terminal_is_told_nothing_by_a_file() -> None:
    done = subprocess.run([sys.executable, "-c", HOSTILE], capture_output=True, check=True)
    text = done.stderr.decode()
    assert "\\x1b[2Jred\\x9bm" in text
    assert "ValueError" in text
    assert not [c for c in text if not c.isprintable() and c != "\n"]


def test_nobody_else_does() -> None:
    assert [json.loads(line)["level"] for line in written("json", journal=False)] == [
        "info", "warning", "error", "error",
    ]  # fmt: skip


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    (tmp_path / "sessions").mkdir()
    return tmp_path / "sessions"


def said(engine: Engine) -> list[dict[str, Any]]:
    with capture_logs() as logs:
        engine.settle()
    return [dict(line) for line in logs if line["event"].startswith("execution")]


def test_each_ending_is_a_line_and_no_later_change_is(tmp_path: Path, sessions: Path) -> None:
    engine = Engine(str(sessions), str(tmp_path / "reevd.sqlite3"))
    try:
        leave(sessions, "runs", session("runs", end_time=None, final_result=None))
        failed = {"success": False, "score": 0.25, "status": "Failed", "data": {}}
        leave(sessions, "bad", session("bad", final_result=failed))
        (line,) = said(engine)
        assert (line["event"], line["execution_id"], line["status"]) == ("execution ended", "bad", "Failed")
        assert (line["score"], line["log_level"]) == (0.25, "info")
        (sessions / "enhanced_otel_bad.jsonl").write_text('{"event_type": "StepComplete", "session_id": "bad"}\n')
        leave(sessions, "runs", session("runs"))
        assert [line["execution_id"] for line in said(engine)] == ["runs"]
    finally:
        engine.close()


def test_a_burst_is_a_few_lines_and_none_is_left_out(tmp_path: Path, sessions: Path) -> None:
    for number in range(300):
        leave(sessions, f"n{number}", session(f"n{number}"))
    engine = Engine(str(sessions), str(tmp_path / "reevd.sqlite3"))
    try:
        lines = said(engine)
    finally:
        engine.close()
    alone = [line for line in lines if line["event"] == "execution ended"]
    others = [line for line in lines if line["event"] == "executions ended"]
    assert LINES_A_SECOND <= len(alone) <= 3 * LINES_A_SECOND
    assert len(alone) + sum(line["count"] for line in others) == 300
    assert sum(line["Completed"] for line in others) == 300 - len(alone)
    assert len(others) < 20
