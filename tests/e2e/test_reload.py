"""Settings and cases that are read anew meanwhile: what cannot be used, and what a restart alone takes on."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.harness import ROOT, Daemon, daemon, leave, session, wait_until

STUB: dict[str, object] = {"end_time": None, "final_result": None}
USABLE = "silence_seconds: 300\nsettle_seconds: 0.05\n"
STRANGER = 65_534


def hang_up(running: Daemon, text: str, told: str) -> None:
    """Has these settings read; `told`: what the log says of them once more."""
    before = running.log().count(told)
    (running.home / "reevd.yaml").write_text(text)
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    wait_until(lambda: running.log().count(told) > before, f"{told!r} is logged", log=running.log)


@pytest.mark.parametrize(
    "text",
    ["retention_days: 2026-13-45\n", f"silence_seconds: 1{400 * '0'}\n", 'runner: "a\\0b"\n', 100_000 * "["],
    ids=["no day", "no float", "NUL", "depth"],
)
def test_settings_that_cannot_be_used_leave_the_old_ones_in_force(tmp_path: Path, text: str) -> None:
    (tmp_path / "reevd.yaml").write_text(USABLE)
    with daemon(tmp_path, config=tmp_path / "reevd.yaml") as running:
        leave(running.sessions, "run", session("run", **STUB))
        running.wait_for("run", "Running")
        wait_until(lambda: not running.get("/api/v1/health")["watch"]["pending"], "no other look at it is due")
        hang_up(running, text, "settings cannot be used: the old ones stay")
        hang_up(running, USABLE.replace("300", "1"), "settings read anew")
        running.wait_for("run", "Timeout")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave a file of somebody else's")
def test_whose_files_are_read_only_a_restart_changes(tmp_path: Path) -> None:
    """The server goes by what it was started with, and would show what the engine no longer reads."""
    (tmp_path / "reevd.yaml").write_text(USABLE)
    with daemon(tmp_path, config=tmp_path / "reevd.yaml") as running:
        hang_up(running, USABLE + "writers: [root]\n", '"setting": "writers", "event": "a restart is needed')
        wait_until(lambda: "settings read anew" in running.log(), "the others are taken", log=running.log)
        leave_strange(running, "before")
        running.wait_for("before", "Completed")
        running.stop()
        running.start()
        leave_strange(running, "after")
        problems = "/api/v1/problems"
        wait_until(lambda: "owner" in str(running.get(problems)), "it is refused", log=running.log)
        assert running.execution("after") is None


def leave_strange(running: Daemon, execution_id: str) -> None:
    hidden = leave(running.home, execution_id, session(execution_id))
    os.chown(hidden, STRANGER, STRANGER)
    hidden.rename(running.sessions / hidden.name)


def test_a_pipe_among_the_cases_is_told_and_hangs_nobody(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    with daemon(tmp_path) as running:
        pipe = tmp_path / "benchmarks" / "x.yml"
        os.mkfifo(pipe)
        shutil.copy(ROOT / "benchmarks" / "001-sol-transfer.yml", tmp_path / "benchmarks")
        try:
            status, answer = running.request("POST", "/api/v1/sync")
        finally:
            os.close(os.open(pipe, os.O_RDWR))  # whoever waits for a writer could not even be stopped
        assert (status, answer["benchmarks"]["inserted"], answer["benchmarks"]["failed_total"]) == (200, 1, 1)
        (failure,) = answer["benchmarks"]["failed"]
        assert failure["path"].endswith("x.yml")
        assert "it is no regular file" in str(failure)
        running.stop()
        running.start()
        assert len(running.get("/api/v1/benchmarks")) == 1


def test_a_database_made_anew_has_the_cases_too(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "001-sol-transfer.yml", tmp_path / "benchmarks")
    with daemon(tmp_path) as running:
        listed = "/api/v1/benchmarks"
        wait_until(lambda: running.get(listed), "the case is listed", log=running.log)
        running.database.rename(tmp_path / "taken-away")
        wait_until(lambda: running.log().count('"event": "ready"') == 2, "it is made anew", log=running.log)
        wait_until(lambda: running.get(listed), "the case is listed again", log=running.log)
