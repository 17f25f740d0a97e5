"""What much of everything costs: files at the start, executions in memory, rows in the database."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import apsw
import structlog

from reevd import patrol
from reevd.engine import Engine
from reevd.reader import REMEMBERED
from tests.harness import ROOT, Daemon
from tests.perf.processes import cost, family
from tests.perf.result import Result
from tests.perf.stage import Client, fill, home, notified, reevd, until

SAMPLE = 1_500  # fewer than another process would be asked for: its time is not the engine's


def _settled(running: Daemon, count: int) -> None:
    """All files are known and need no further look."""
    db = apsw.Connection(str(running.database), flags=apsw.SQLITE_OPEN_READONLY)
    query = "SELECT count(*) FROM files WHERE mark IS NOT NULL"
    until(lambda: db.execute(query).fetchall()[0][0] >= count, "all is settled", seconds=600, every=0.2)
    db.close()


def start(files: int) -> list[Result]:
    """From the start of the process until it is ready, with so many files that it knows.

    It is ready when it tells systemd so and the socket answers: to ask the health for it again and again would take of
    the time that is measured.
    """
    with home() as path:
        fill(path / "logs" / "sessions", files)
        first = Daemon(path, settle_seconds=0.05).start(ready=False)
        Client(first.socket).close()
        _settled(first, files)
        first.stop()
        ours, floor = [], []
        with notified(path / "notify") as told:
            for _ in range(7):
                floor.append(_scan(path / "logs" / "sessions"))  # in turn: the disk may still be busy from writing
                ours.append(_start(Daemon(path), told))
    return [
        Result(f"start with {files:,} unchanged files", statistics.median(ours), statistics.median(floor), "s", 2, 1.2)
    ]


def _start(daemon: Daemon, told: socket.socket) -> float:
    began = time.perf_counter()
    daemon.start(ready=False)
    while b"READY=1" not in told.recv(4096):
        pass
    client = Client(daemon.socket)
    assert client.json("/api/v1/executions/run-0")["status"] == "Completed"
    took = time.perf_counter() - began
    client.close()
    daemon.stop()
    return took


def _scan(folder: Path) -> float:
    began = time.perf_counter()
    with os.scandir(folder) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
    return time.perf_counter() - began


def memory(files: int) -> list[Result]:
    """What both processes hold once all is at rest, beside the same imports and nothing done with them."""
    with home() as path, reevd(path, settle_seconds=0.05) as running:
        assert running.process is not None
        fill(running.sessions, files)
        _settled(running, files)
        client = Client(running.socket)
        client.get("/metrics")  # so that what measures is loaded too, on both sides
        for number in range(0, files, max(1, files // 2_000)):
            client.get(f"/api/v1/executions/run-{number}")
        until(lambda: len(family(running.process.pid)) == 2, "who read the burst has ended", every=0.1)  # type: ignore[union-attr]
        # At rest, memory is given back after the log; the engine answers once it has done that.
        until(lambda: os.path.getsize(f"{running.database}-wal") == 0, "the log is given back", every=0.1)
        client.json("/api/v1/health")
        ours = cost(running.process.pid).pss_mb
    code = "import os, sys, time; import {}; sys.stdout.write('!'); sys.stdout.flush(); time.sleep(600)"
    imports = [
        subprocess.Popen([sys.executable, "-c", code.format(module)], cwd=ROOT, stdout=subprocess.PIPE)
        for module in ("reevd.cli, reevd.daemon, reevd.meters", "reevd.api.serve, reevd.api.metrics")
    ]
    try:
        for process in imports:
            assert process.stdout is not None
            process.stdout.read(1)
        floor = sum(cost(process.pid).pss_mb for process in imports)
    finally:
        for process in imports:
            process.kill()
            process.wait()
    return [Result(f"memory with {files:,} executions", ours, floor, "MB", 2, 1.4)]


def growth(sizes: tuple[int, ...]) -> list[Result]:
    """Microseconds of the engine per new file, with so many rows in the database. Prints how it grows."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    patrol.PILE = 1 << 30  # all is done by this thread: it is its time that is taken
    costs = []
    for rows in sizes:
        costs.append(_cost(rows))
        print(f"    {rows:>9,} rows: {costs[-1]:7.1f} us a file", flush=True)
    return [Result(f"cost per file at {sizes[-1]:,} rows, against {sizes[1]:,}", costs[-1], costs[1], "us", 2, 1.3)]


def _cost(rows: int) -> float:
    with home() as path:
        sessions, database = path / "sessions", path / "db"
        fill(sessions, REMEMBERED, "first")
        engine = Engine(str(sessions), str(database))
        engine.settle()
        engine.close()
        _multiply(database, rows)
        engine = Engine(str(sessions), str(database))
        engine.settle()
        samples = []
        for number in range(5):
            fill(sessions, SAMPLE, f"new-{number}")
            wanted, began = engine.patrol.written + SAMPLE, time.thread_time()
            while engine.patrol.written < wanted:
                engine.step()
            samples.append((time.thread_time() - began) / SAMPLE * 1e6)
        engine.close()
        return statistics.median(samples)


def _multiply(database: Path, rows: int) -> None:
    """Copies one ended execution until there are so many rows, in the order in which ids come: at random."""
    db = apsw.Connection(str(database))
    db.pragma("journal_mode", "off")
    db.pragma("synchronous", "off")
    names = [row[1] for row in db.execute("PRAGMA table_info(execution_states)")]
    values = {
        "execution_id": "lower(hex(randomblob(16)))",
        "source_state": "'gone'",
        "change": "NULL",
        "session_file": "NULL",
        "created_at": "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1700000000 + abs(random()) % 60000000, 'unixepoch')",
    }
    columns = ", ".join(values.get(name, name) for name in names)
    with db:
        db.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO execution_states SELECT {columns} FROM n, (SELECT * FROM execution_states LIMIT 1)",
            (rows,),
        )
    db.pragma("journal_mode", "wal")
    db.close()
