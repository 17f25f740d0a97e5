"""Runners that end, or answer, as no program should: each costs its own run, and the daemon goes on."""

from __future__ import annotations

import stat
from pathlib import Path

from reevd.runs.job import Job
from reevd.runs.spool import Spool
from reevd.times import SECOND
from tests.e2e.test_executor import CASE, prepare, run, spool
from tests.harness import daemon, wait_until


def test_a_job_that_cannot_be_started_at_all_costs_its_own_run_alone(tmp_path: Path) -> None:
    """It stands in the spool, and so comes back at each start."""
    with daemon(tmp_path, **prepare(tmp_path, "done()")) as running:
        running.stop()
        path = str(tmp_path / "benchmarks" / f"{CASE}.yml")
        unfit = Job("unfit", CASE, path, "deterministic", 30.0, "http://x/\0", SECOND, 0)
        Spool(str(running.database.parent / "spool")).add(unfit)
        running.start()
        assert "could not be started" in running.wait_for("unfit", "Failed")["reason"]
        run(running, "next")
        running.wait_for("next", "Completed")
        wait_until(lambda: not spool(running), "both jobs are cleared away")


def test_a_runner_that_a_signal_without_a_name_killed_says_its_number(tmp_path: Path) -> None:
    body = "if id == 'killed': os.kill(os.getpid(), 40)\ndone()"
    with daemon(tmp_path, **prepare(tmp_path, body)) as running:
        run(running, "killed")
        reason = running.wait_for("killed", "Failed")["reason"]
        assert reason == "its runner was killed by signal 40 and left no result"
        run(running, "next")
        running.wait_for("next", "Completed")


def test_agents_whose_names_are_no_utf_8_are_passed_over(tmp_path: Path) -> None:
    script = tmp_path / "names"
    script.write_text("#!/bin/sh\nprintf 'deterministic\\n\\377\\n'\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    with daemon(tmp_path, **prepare(tmp_path) | {"runner": script}) as running:
        wait_until(lambda: running.get("/api/v1/agents"), "the runner has named its agents", log=running.log)
        assert running.get("/api/v1/agents") == ["deterministic"]
