"""A reader that looks all the time: nothing known vanishes, nothing that has ended goes back, nothing disagrees."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import apsw

QUERY = """
SELECT execution_id, status, tool_calls, (SELECT count(*) FROM tool_calls c WHERE c.execution_id = e.execution_id),
       deadline_at FROM execution_states e
"""
PATIENCE = 5.0


def watch(database: Path, result: int) -> None:
    """Until SIGTERM; then writes to `result` what it saw: {"ended": [ids], "wrong": [text], "looks": n}."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    known: dict[str, str] = {}
    wrong: list[str] = []
    looks = 0
    troubled_since = 0.0
    db: apsw.Connection | None = None
    while not stopping:
        try:
            if db is None:
                db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
                db.set_busy_timeout(1000)
            rows = db.execute(QUERY).fetchall()
        except apsw.Error as error:
            # Not made yet, or being recovered; that must end.
            troubled_since = troubled_since or time.monotonic()
            if time.monotonic() - troubled_since > PATIENCE:
                wrong.append(f"unreadable for {PATIENCE} s: {type(error).__name__}: {error}")
                break
            time.sleep(0.001)
            continue
        troubled_since = 0.0
        looks += 1
        time.sleep(0.0005)  # the engine needs the core too
        wrong += _compare(known, rows)
    if db is not None:
        db.close()
    ended = [i for i, status in known.items() if status not in ("Queued", "Running")]
    os.write(result, json.dumps({"ended": ended, "wrong": wrong[:20], "looks": looks}).encode())


def _compare(known: dict[str, str], rows: list[tuple[str, str, int, int, str | None]]) -> list[str]:
    wrong = []
    now = {row[0]: row[1] for row in rows}
    wrong += [f"{i} vanished" for i in known.keys() - now.keys()]
    for execution_id, status, told, counted, deadline in rows:
        live = status in ("Queued", "Running")
        if live and known.get(execution_id, "Running") not in ("Queued", "Running"):
            wrong.append(f"{execution_id} went back from {known[execution_id]} to {status}")
        if told != counted:
            wrong.append(f"{execution_id} says {told} tool calls and has {counted}")
        if live != (deadline is not None):
            wrong.append(f"{execution_id} is {status} with deadline {deadline}")
    known.update(now)
    return wrong
