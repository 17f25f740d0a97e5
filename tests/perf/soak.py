"""`make soak`: an hour of runs that come, live and go, and whether the daemon stays as small as it began.

    python -m tests.perf.soak [--minutes 60] [--runs 20] [--known 50000]

It begins with a database of so many executions, whose files are gone: SQLite's caches are full then, and what grows
from there on is a leak.

Each second, so many runs begin; each writes a stub, some telemetry, and a result in place of the stub; files
older than a minute are deleted. Every tenth is never finished, every twentieth is garbage. Clients ask meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.harness import Daemon, daemon, leave, session, wait_until
from tests.perf.processes import cost, cpu_seconds

KEPT_SECONDS = 60
SAMPLE_SECONDS = 30
HEADS = (
    "minutes  executions  Running  problems    Pss MB    own MB   fds  threads   WAL MB     DB MB  pending    CPU s"
    "  health"
)


def line(execution_id: str, kind: str, **fields: object) -> str:
    event = {"timestamp": "2026-01-01T00:00:00Z", "session_id": execution_id, "event_type": kind, **fields}
    return json.dumps(event) + "\n"


def step(folder: Path, number: int) -> None:
    """One run moves on: the stub of this one, the telemetry of an older one, the result of a still older one."""
    leave(folder, f"soak-{number}", session(f"soak-{number}", end_time=None, final_result=None))
    if number % 20 == 0:
        (folder / f"session_garbage-{number}.json").write_text('{"half')
    talking, done = f"soak-{number - 20}", f"soak-{number - 60}"
    with (folder / f"enhanced_otel_{talking}.jsonl").open("a") as file:
        file.write(line(talking, "ToolInput", tool_input={"tool_name": "sol_transfer", "tool_args": {"n": number}}))
        file.write(line(talking, "ToolOutput", tool_output={"success": True, "results": "x" * 500}))
    if number % 10:
        (folder / f"session_{done}.json").write_text(json.dumps(session(done)))


def sweep(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for path in folder.iterdir():
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def fill(running: Daemon, known: int) -> None:
    """So many executions, and then no file of them."""
    for number in range(known):
        leave(running.sessions, f"known-{number}", session(f"known-{number}"))
        if number % 1000 == 999:
            running.wait_for(f"known-{number}", "Completed", seconds=60)
    for path in running.sessions.iterdir():
        path.unlink()
    first = "/api/v1/executions/known-0"
    wait_until(lambda: running.get(first)["source"]["state"] == "gone", "the files are missed", seconds=120)
    wait_until(lambda: running.get("/api/v1/health")["watch"]["pending"] == 0, "all is looked at", seconds=120)


def sample(running: Daemon, began: float) -> tuple[float, ...]:
    assert running.process is not None
    found = cost(running.process.pid)
    health = running.get("/api/v1/health")
    wal = health["database"]["wal_bytes"] / 1e6
    total = sum(health["executions"].values())
    minutes = (time.monotonic() - began) / 60
    cpu = cpu_seconds(running.process.pid)
    print(
        f"{minutes:7.1f}{total:12,}{health['executions']['Running']:9}{health['problems']:10}{found.pss_mb:10.1f}"
        f"{found.own_mb:10.1f}{found.descriptors:6}{found.threads:9}{wal:9.1f}"
        f"{health['database']['size_bytes'] / 1e6:10.1f}"
        f"{health['watch']['pending']:9}{cpu:9.1f}  {health['status']}",
        flush=True,
    )
    return minutes, found.own_mb, found.descriptors, wal


def main() -> int:
    parser = argparse.ArgumentParser(description="An hour of runs, and what the daemon costs meanwhile.")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--runs", type=int, default=20, help="runs that begin each second")
    parser.add_argument("--known", type=int, default=50_000, help="executions that are there when it begins")
    asked = parser.parse_args()
    samples = []
    with tempfile.TemporaryDirectory(prefix="reevd-soak-") as home, daemon(Path(home), silence_seconds=120) as running:
        fill(running, asked.known)
        began = time.monotonic()
        print(HEADS)
        next_sample, next_sweep = began, began + KEPT_SECONDS
        for number in itertools.count():
            now = time.monotonic()
            if now - began > asked.minutes * 60:
                break
            step(running.sessions, number)
            if now >= next_sweep:
                sweep(running.sessions)
                next_sweep += 5
            if now >= next_sample:
                samples.append(sample(running, began))
                next_sample += SAMPLE_SECONDS
            running.get("/api/v1/executions?limit=20")
            time.sleep(max(0.0, began + (number + 1) / asked.runs - time.monotonic()))
        samples.append(sample(running, began))
    return verdict(samples)


def verdict(samples: list[tuple[float, ...]]) -> int:
    """Growth of the peaks, from the first half to the second: 0 where it is less than a tenth, in each respect.

    The first sixth, in which caches fill, is left out. Peaks, since the log is a saw: it grows until it is moved.
    """
    steady = samples[len(samples) // 6 :]
    halves = steady[: len(steady) // 2 or 1], steady[len(steady) // 2 :]
    worst = 0
    for name, index, slack in (("memory", 1, 4.0), ("descriptors", 2, 8), ("WAL", 3, 16.0)):
        first, second = (max(row[index] for row in half) for half in halves)
        flat = second - first <= max(first * 0.1, slack)
        worst |= not flat
        word = "flat" if flat else "GROWS"
        print(f"{name}: at most {first:.1f} in the first half, {second:.1f} in the second: {word}")
    print(f"samples: {len(samples)}; host: {os.cpu_count()} cores")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
