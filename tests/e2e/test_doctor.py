"""`reevctl doctor`: on a healthy daemon all is well; each ailment is named with its cure."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_backup import ctl
from tests.harness import daemon, wait_until


def findings(home: Path, status: int) -> dict[str, dict[str, Any]]:
    done = ctl(home, "--json", "doctor")
    assert done.returncode == status, done.stdout + done.stderr
    return {finding["what"]: finding for finding in json.loads(done.stdout)}


def test_all_is_well(tmp_path: Path) -> None:
    with daemon(tmp_path):
        found = findings(tmp_path, 0)
        for what in ("daemon", "versions", "sessions folder", "watch", "write-ahead log", "lock", "open files"):
            assert found[what]["verdict"] == "good", found[what]
        assert "deterministic" in found["runner"]["found"]
        assert all(finding["fix"] for finding in found.values() if finding["verdict"] != "good")
        assert ctl(tmp_path, "doctor").stdout.startswith("✔ daemon: healthy")


def test_nobody_there(tmp_path: Path) -> None:
    found = findings(tmp_path, 1)
    assert found["daemon"]["verdict"] == "bad"
    assert "systemctl start reevd" in found["daemon"]["fix"]
    assert "runner" in found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file that somebody else cannot read")
def test_files_that_the_daemon_cannot_read(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05) as running:
        (running.sessions / "session_a.json").symlink_to("/etc/hostname")
        wait_until(lambda: running.get("/api/v1/problems")["items"], "the problem is seen")
        found = findings(tmp_path, 0)
        assert found["files"]["fix"] == "reevctl problems"


def test_a_folder_in_which_anybody_may_write(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        running.sessions.chmod(0o1777)
        found = findings(tmp_path, 0)["sessions folder"]
        assert found["verdict"] == "odd"
        assert found["fix"].startswith(f"chmod o-w {running.sessions}")


def test_a_daemon_that_polls(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        running.sessions.rename(tmp_path / "elsewhere")
        wait_until(lambda: running.get("/api/v1/health")["status"] == "degraded" or running.sessions.exists(), "seen")
        if not running.sessions.exists():
            assert findings(tmp_path, 1)["daemon"]["fix"]


def test_a_lock_whose_holder_is_not_there(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        Path(f"{running.database}.lock").write_text("4194305\n")
        found = findings(tmp_path, 1)["lock"]
        assert (found["verdict"], "is not there" in found["found"]) == ("bad", True)


def test_a_log_that_cannot_be_given_back(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        running.stop()
        running.start()
        with open(f"{running.database}-wal", "r+b") as log:
            log.truncate(600 << 20)  # sparse: it is the size that is looked at
        assert findings(tmp_path, 0)["write-ahead log"]["fix"].startswith("some program holds a transaction open")
