"""The daemon where the disk, the database or somebody else is in its way: it goes on, and says what it waits for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from reevd import config
from reevd.assembly import open_engine, open_executor
from reevd.database import PAGE_BYTES
from reevd.runs.job import Job
from reevd.runs.spool import Spool
from reevd.times import SECOND
from tests.harness import ROOT, Daemon, daemon, leave, session, wait_until

CASE = "001-sol-transfer"
RUNNING: dict[str, object] = {"end_time": None, "final_result": None}


def test_a_job_may_be_stopped_before_the_daemon_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place in the queue was kept over a restart, and has not been proved yet."""
    monkeypatch.chdir(tmp_path)
    settings = config.load([], {})
    (tmp_path / "logs" / "state").mkdir(parents=True)
    engine = open_engine(settings)
    try:
        Spool(str(tmp_path / "logs" / "state" / "spool")).add(
            Job("waits", CASE, str(ROOT / "benchmarks" / f"{CASE}.yml"), "deterministic", 30.0, None, SECOND, 0)
        )
        executor = open_executor(settings, engine)
        try:
            leave(tmp_path / "logs" / "sessions", "waits", session("waits", **RUNNING))
            engine.patrol.look("waits")
            executor.stop(engine.store.known(["waits"]).executions["waits"], 0, engine.clock.now())
            executor.step()
            engine.settle()
            executor.step()
            assert engine.store.known(["waits"]).executions["waits"].status == "Stopped"
            assert (executor.queued, executor.running) == (0, 0)
        finally:
            executor.close()
    finally:
        engine.close()


def test_nothing_known_vanishes_while_the_database_is_made_anew(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.1) as running:
        # What is read again takes its time: the new database is long without what the old one said.
        for number in range(2_000):
            leave(running.sessions, f"done-{number}", session(f"done-{number}", metadata={"x": "y" * 20_000}))
        leave(running.sessions, "z-live", session("z-live", **RUNNING))
        wait_until(lambda: running.get("/api/v1/health")["executions"]["Completed"] == 2_000, "all are known")
        running.wait_for("z-live", "Running")
        for ending in ("", "-wal", "-shm"):
            (running.database.parent / (running.database.name + ending)).unlink(missing_ok=True)
        seen: list[int] = []

        def made_anew() -> bool:
            seen.append(running.request("GET", "/api/v1/executions/z-live")[0])
            return running.log().count('"event": "ready"') == 2

        wait_until(made_anew, "the new one says all", log=running.log, seconds=60)
        assert set(seen) == {200}
        assert "making it anew" in running.log()
        leave(running.sessions, "next", session("next"))
        running.wait_for("next", "Completed")


def test_a_reload_that_cannot_be_stored_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    with daemon(tmp_path) as running:
        shutil.copy(ROOT / "benchmarks" / f"{CASE}.yml", tmp_path / "benchmarks")
        with closing(apsw.Connection(str(running.database))) as other:
            other.execute("CREATE TRIGGER refuse BEFORE INSERT ON benchmarks BEGIN SELECT RAISE(FAIL, 'not now'); END")
            assert running.process is not None
            running.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "the cases could not be stored" in running.log(), "it is told", log=running.log)
            other.execute("DROP TRIGGER refuse")
        wait_until(lambda: running.get("/api/v1/benchmarks"), "the case is stored", log=running.log)


STARTS = """
import itertools, os, subprocess, sys, time
small, home, python, filled, free = sys.argv[1:]
fillers = []
def fill():
    if filled == "bytes":
        with open(os.path.join(small, "filler"), "wb", 0) as file:
            fillers.append(file.name)
            while True: file.write(bytes(4096))
    for number in itertools.count():
        with open(os.path.join(small, str(number)), "wb") as file:
            fillers.append(file.name)
try: fill()
except OSError: pass
for _ in range(int(free)): os.unlink(fillers.pop())
log = open(os.path.join(home, "log"), "wb")
settings = ["--database", os.path.join(small, "db"), "--sessions-dir", os.path.join(home, "sessions")]
settings += ["--socket", os.path.join(home, "sock"), "--benchmarks-dir", home]
process = subprocess.Popen([python, "-m", "reevd.cli", *settings], stderr=log)
def told(text):
    ends = time.monotonic() + 20
    while text not in open(log.name).read():
        assert process.poll() is None and time.monotonic() < ends, open(log.name).read()
        time.sleep(0.02)
told("cannot be opened")
for filler in fillers: os.unlink(filler)
told('"ready"')
process.terminate()
sys.exit(process.wait())
"""


@pytest.mark.parametrize(
    ("filled", "free"),
    [
        pytest.param("bytes", 0, id="no bytes"),
        # Lock, journal and database can be made, and not what SQLite has beside it.
        pytest.param("files", 3, id="no names"),
    ],
)
def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path, filled: str, free: int) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=1m,nr_inodes=64 none "$0" && exec "$@"', str(small)]
    if subprocess.run([*mount, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace")
    command = [*mount, sys.executable, "-c", STARTS, str(small), str(tmp_path), sys.executable, filled, str(free)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stderr + (tmp_path / "log").read_text()


def test_another_writer_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """The clock was set since, which is to be noted before anything else."""
    running = Daemon(tmp_path).start()
    running.stop()
    impatient = "from reevd import cli, database; database.BUSY_MS = 10; raise SystemExit(cli.main([]))"
    log = tmp_path / "log"
    with closing(apsw.Connection(str(running.database))) as other, log.open("wb") as errors:
        other.execute("UPDATE meta SET value = 1 WHERE key = 'clock_base'")
        other.execute("BEGIN IMMEDIATE")
        running.process = subprocess.Popen([sys.executable, "-c", impatient], cwd=tmp_path, stderr=errors)
        try:
            wait_until(lambda: "cannot be opened" in log.read_text(), "it is told", log=log.read_text)
            other.execute("ROLLBACK")
            wait_until(lambda: '"ready"' in log.read_text(), "the daemon is ready", log=log.read_text)
        finally:
            assert running.stop() == 0


def test_a_socket_that_somebody_removed_is_no_failure_at_the_end(tmp_path: Path) -> None:
    running = Daemon(tmp_path).start()
    running.socket.unlink()
    assert running.stop() == 0


@pytest.mark.parametrize("first", [0, 8])
def test_damage_that_only_readers_meet_is_mended(tmp_path: Path, first: int) -> None:
    """The engine at rest reads nothing: whoever asks meets it, and the engine hears of that.

    With its first page, it is no database at all.
    """
    with daemon(tmp_path, settle_seconds=0.05) as running:
        names = [f"run-{number:03d}" for number in range(200)]
        for name in names:
            leave(running.sessions, name, session(name))
        for name in names:
            running.wait_for(name, "Completed")
        log = running.database.with_name(running.database.name + "-wal")
        wait_until(lambda: log.stat().st_size == 0, "all is in the database")
        with running.database.open("r+b") as file:
            for page in range(first, running.database.stat().st_size // PAGE_BYTES):
                file.seek(page * PAGE_BYTES)
                file.write(b"\xff" * PAGE_BYTES)

        def asked() -> bool:
            return [running.request("GET", f"/api/v1/executions/{name}")[0] for name in names] == [200] * len(names)

        assert not asked(), "it is damaged"
        wait_until(asked, "all is as it was", log=running.log)
        assert list(running.database.parent.glob("reevd.sqlite3.damaged-*"))
