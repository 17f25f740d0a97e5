"""Backups: taken while all goes on, checked by opening them, and put back without losing anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import apsw

from reevd.schema import VERSION
from tests.harness import ROOT, Daemon, daemon, leave, session

NEW = ("--database", "logs/state/reevd.sqlite3")
"""Where nothing stands, the place has to be named."""


def command(home: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("REEV")}
    words = [sys.executable, "-m", module, *arguments]
    return subprocess.run(words, cwd=home, env=environ, capture_output=True, text=True, timeout=60)


def ctl(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command(home, "reevd.ctl", *arguments)


def restore(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command(home, "reevd.cli", "restore", *arguments)


def known(running: Daemon) -> dict[str, str]:
    return {e["execution_id"]: e["status"] for e in running.get("/api/v1/executions?limit=1000")["items"]}


def test_taken_during_a_burst_and_restored_it_says_what_the_files_say(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05) as running:
        leave(running.sessions, "gone", session("gone"))
        running.wait_for("gone", "Completed")
        (running.sessions / "session_gone.json").unlink()
        running.request("POST", "/api/v1/sync")

        def burst() -> None:
            for number in range(400):
                leave(running.sessions, f"n{number}", session(f"n{number}"))

        writer = threading.Thread(target=burst)
        writer.start()
        done = ctl(tmp_path, "--json", "backup", "copy.sqlite3")
        writer.join()
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["bytes"], told["schema"]) == ((tmp_path / "copy.sqlite3").stat().st_size, VERSION)
        assert 1 <= told["executions"] <= 401
        assert oct((tmp_path / "copy.sqlite3").stat().st_mode & 0o777) == "0o600"
        assert not [name for name in os.listdir(running.database.parent) if name.startswith(".backup-")]
        running.wait_for("n399", "Completed")
        running.stop()
        done = restore(tmp_path, "copy.sqlite3")
        assert done.returncode == 0, done.stderr
        aside = done.stdout.split("what stood there is ")[1].strip()
        with apsw.Connection(aside, flags=apsw.SQLITE_OPEN_READONLY) as old:
            assert old.execute("SELECT count(*) FROM execution_states").get == 401
        running.start()
        assert len(known(running)) == 401, "what came after the backup stands in the files"
        assert known(running)["gone"] == "Completed", "what outlived its file stands in the backup"
        assert ctl(tmp_path, "verify").returncode == 0


def test_restored_on_another_host_results_without_files_survive_the_loss_of_the_database(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05) as running:
        leave(running.sessions, "gone", session("gone"))
        running.wait_for("gone", "Completed")
        (running.sessions / "session_gone.json").unlink()
        running.request("POST", "/api/v1/sync")
        assert ctl(tmp_path, "backup", "copy.sqlite3").returncode == 0
    other = tmp_path / "other"
    other.mkdir()
    assert restore(other, str(tmp_path / "copy.sqlite3"), *NEW).returncode == 0
    with daemon(other) as running:
        assert known(running) == {"gone": "Completed"}
        running.stop()
        for ending in ("", "-wal", "-shm"):
            Path(f"{running.database}{ending}").unlink(missing_ok=True)
        running.start()
        assert known(running) == {"gone": "Completed"}, "the journal was made anew from the backup"


def test_not_while_a_daemon_uses_the_database(tmp_path: Path) -> None:
    with daemon(tmp_path):
        (tmp_path / "copy.sqlite3").write_text("the one of yesterday")
        assert ctl(tmp_path, "backup", "--force", "copy.sqlite3").returncode == 0
        done = restore(tmp_path, "copy.sqlite3")
        assert done.returncode == 1
        assert "another reevd" in done.stderr


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000:9000] = b"\xaa" * 4000
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.unlink()
    with apsw.Connection(str(path)) as db:
        db.execute("CREATE TABLE mine (a)")


def newer(path: Path) -> None:
    with apsw.Connection(str(path)) as db:
        db.pragma("user_version", 99)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def test_what_is_no_good_backup_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05) as running:
        leave(running.sessions, "a", session("a"))
        running.wait_for("a", "Completed")
        assert ctl(tmp_path, "backup", "good.sqlite3").returncode == 0
        running.stop()
        before = sorted(os.listdir(running.database.parent))
        for harm in (damaged, empty, newer, cut, Path.unlink):
            shutil.copyfile(tmp_path / "good.sqlite3", tmp_path / "copy.sqlite3")
            harm(tmp_path / "copy.sqlite3")
            done = restore(tmp_path, "copy.sqlite3")
            assert done.returncode == 1, (harm, done.stdout)
            assert done.stderr.startswith("Error: checking the backup copy.sqlite3: "), harm
            assert "Try: " in done.stderr, harm
            assert sorted(os.listdir(running.database.parent)) == before, harm
        running.start()
        assert known(running) == {"a": "Completed"}


def test_a_backup_of_an_older_schema_is_migrated(tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "fixtures" / "db" / "v1.sqlite3", tmp_path / "copy.sqlite3")
    assert restore(tmp_path, "copy.sqlite3", *NEW).returncode == 0
    with daemon(tmp_path) as running:
        assert known(running)


def test_an_old_backup_stays_where_the_new_one_fails(tmp_path: Path) -> None:
    (tmp_path / "copy.sqlite3").write_text("the one of yesterday")
    done = ctl(tmp_path, "backup", "--force", "copy.sqlite3")
    assert done.returncode == 3
    assert (tmp_path / "copy.sqlite3").read_text() == "the one of yesterday"
    assert os.listdir(tmp_path) == ["copy.sqlite3"]
