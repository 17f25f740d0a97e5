"""What `reevctl` prints of answers that are written here, and what it asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reevd import __version__
from reevd.ctl import render
from reevd.ctl.main import main
from tests.canned import canned

Capture = pytest.CaptureFixture[str]
API = "/api/v1"


def test_a_refusal_that_came_too_late_says_that_it_may_still_be_done(tmp_path: Path, capsys: Capture) -> None:
    refusal: tuple[int, Any] = (503, {"message": "the engine did not answer 'run' within 30 s"})
    with canned(tmp_path, {f"POST {API}/benchmarks/b/run": refusal, f"POST {API}/sync": refusal}) as daemon:
        assert main(["--socket", daemon.socket, "run", "b", "--id", "mine"]) == 1
        hint = "Try: it may still be done: see `{}` before you ask again\n"
        assert capsys.readouterr().err.endswith(hint.format("reevctl show mine"))
        assert main(["--socket", daemon.socket, "sync"]) == 1
        assert capsys.readouterr().err.endswith(hint.format("reevctl status"))


def test_colour_changes_no_text() -> None:
    text = "healthy: 1 Completed\n✔ Completed  1.000\n✘ Failed  0.000"
    coloured = render.colour(text, wanted=True)
    assert coloured.startswith("\x1b[32mhealthy\x1b[0m: ")
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == text


def test_doctor_says_each_fix_on_a_line_of_its_own(tmp_path: Path, capsys: Capture) -> None:
    health = {
        "status": "degraded",
        "version": __version__,
        "timestamp": "2026-01-31T12:00:00.000000Z",
        "reasons": ["one\nreason"],
        "watch": {"mode": "poll", "path": str(tmp_path / "sessions")},
        "database": {"path": str(tmp_path / "db"), "wal_bytes": 0},
    }
    answers = {f"GET {API}/health": (200, health), f"GET {API}/problems?limit=1000": (200, {"items": []})}
    with canned(tmp_path, answers) as daemon:
        assert main(["--socket", daemon.socket, "doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"✘ daemon: degraded on {daemon.socket}", "    fix: one\\nreason"]
    found = lines.index(f"✘ sessions folder: {tmp_path}/sessions: No such file or directory")
    assert lines[found + 1] == f"    fix: mkdir -p {tmp_path}/sessions, or see the setting sessions_dir"
    assert [line[0] for line in lines if not line.startswith("    fix: ")].count("✘") >= 3
