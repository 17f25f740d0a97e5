"""One workload under some faults, and what must be true of it afterwards."""

from __future__ import annotations

import gc
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from reevd import lookout
from tests.faults.disk import Disk, Fault, Kind
from tests.faults.shim import through
from tests.faults.workloads import WORKLOADS, migrate_no_further, small_steps
from tests.faults.world import World, WrongError

SCRATCH = "/dev/shm" if os.path.isdir("/dev/shm") else None
# Not the same in every run, because the clock goes on by another amount when something is tried again.
CLOCK = ("change", "updated_at", "began_at", "news_at", "deadline_at", "history")


class Outcome(NamedTuple):
    """wrong and corrupt are texts, empty where all is well. struck: how many of the faults hit anything at all."""

    workload: str
    faults: tuple[Fault, ...]
    struck: int
    remade: int
    restarts: int
    wrong: str
    corrupt: str


class Truth(NamedTuple):
    """What a run without a fault leaves, and how many operations of it each kind can strike."""

    rows: dict[str, Any]
    rebuilt: dict[str, Any]
    counts: Counter[Kind]
    remade: int


class _DeafError(OSError):
    pass


def _no_watch(*_: object) -> None:
    raise _DeafError("no events here: each round would come at another time")


@contextmanager
def _world(disk: Disk) -> Iterator[World]:
    home = Path(tempfile.mkdtemp(prefix="faults-", dir=SCRATCH))
    watch, lookout.Watch = lookout.Watch, _no_watch  # type: ignore[assignment, misc]
    try:
        with through(disk) as vfs:
            world = World(home, disk, vfs)
            yield world
            disk.mend()
            world.close()
    finally:
        lookout.Watch = watch  # type: ignore[misc]
        migrate_no_further()
        shutil.rmtree(home)


def _play(world: World, workload: str) -> None:
    script = WORKLOADS[workload]
    with world.later():
        script.prepare(world)
    world.disk.armed = True
    with small_steps(beside=script.beside):
        for step in script.steps:
            step(world)
            world.rest()
        while world.disk.fault is not None:  # fewer operations were left than it waits for
            world.disk.hasten()
            world.restart()
        cuts = world.cuts
        world.close()
    world.disk.armed = False
    if world.cuts > cuts:  # the power went at the very end: see what a start makes of it
        world.restart()
        world.close()


@cache
def truth(workload: str) -> Truth:
    """The same workload on a sound disk."""
    disk = Disk()
    with _world(disk) as world:
        _play(world, workload)
        rows = contents(world.database)
        counts = Counter(disk.counts)
        remade = world.remade
        return Truth(rows, _rebuilt(world), counts, remade)


def run(workload: str, faults: tuple[Fault, ...]) -> Outcome:
    """Plays the workload with those faults in it, one after the other."""
    expected = truth(workload)
    disk = Disk(faults)
    wrong = corrupt = ""
    remade = restarts = 0
    try:
        with _world(disk) as world:
            try:
                _play(world, workload)
                corrupt = integrity(world.database)
                found = contents(world.database)
                wrong = difference(expected.rows, found) or _forgotten(world)
                if wrong and world.cuts:
                    wrong = difference(_without_traces(expected.rows), _without_traces(found)) or _forgotten(world)
                remade, restarts = world.remade, world.restarts
                if not wrong:
                    wrong = difference(expected.rebuilt, _rebuilt(world))
                    wrong = wrong and f"after the loss of the database: {wrong}"
            except WrongError as error:
                wrong = str(error)
    finally:
        gc.collect()
    return Outcome(workload, faults, disk.struck, remade, restarts, wrong, corrupt)


def contents(database: str) -> dict[str, Any]:
    """The rows of every table, without what depends on the clock and on inodes."""
    db = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        db.row_trace = _named
        states = {r.pop("execution_id"): _timeless(r) for r in db.execute("SELECT * FROM execution_states").fetchall()}
        calls = [tuple(r.values()) for r in db.execute("SELECT * FROM tool_calls ORDER BY 1, 2").fetchall()]
        decided = db.execute("SELECT execution_id, kind, reason FROM decisions ORDER BY 1, 2").fetchall()
        problems = db.execute("SELECT path, execution_id, kind, message FROM problems ORDER BY 1").fetchall()
        files = db.execute("SELECT name, size, mark IS NULL AS dirty FROM files ORDER BY 1").fetchall()
        tables = db.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY 1").fetchall()
        version = db.execute("PRAGMA user_version").fetchall()
    finally:
        db.close()
    return {
        "executions": states,
        "calls": calls,
        "decisions": decided,
        "problems": problems,
        "files": files,
        "schema": [tables, version],
    }


def _named(cursor: apsw.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((column[0] for column in cursor.get_description()), row, strict=True))


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in CLOCK}
    kept["ends with"] = json.loads(row["history"])[-1]["status"]
    if row["status"] == "Timeout":
        del kept["ended_at"]
    if row["started_at"] is None:
        del kept["created_at"]  # no writer said when: it is when reevd first saw it
    return kept


def _without_traces(rows: dict[str, Any]) -> dict[str, Any]:
    """Without the tool calls of runs whose files are gone: the journal does not keep them from a power cut."""
    gone = {i for i, row in rows["executions"].items() if row["source_state"] == "gone"}
    executions = {i: {**row, "tool_calls": 0} if i in gone else row for i, row in rows["executions"].items()}
    return {**rows, "executions": executions, "calls": [row for row in rows["calls"] if row[0] not in gone]}


def difference(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """What differs, or nothing."""
    for table, rows in expected.items():
        if rows == found[table]:
            continue
        if isinstance(rows, dict):
            for key in sorted(rows.keys() | found[table].keys()):
                mine, theirs = rows.get(key), found[table].get(key)
                if mine is None or theirs is None:
                    return f"{table}: {key} is {'missing' if theirs is None else 'there'}"
                for name in mine:
                    if mine[name] != theirs.get(name):
                        return f"{table}: {key}.{name} is {theirs.get(name)!r}, not {mine[name]!r}"
        missing = [row for row in rows if row not in found[table]]
        extra = [row for row in found[table] if row not in rows]
        return f"{table}: missing {missing[:2]}, beside them {extra[:2]}"
    return ""


def integrity(database: str) -> str:
    db = apsw.Connection(database)
    try:
        found = db.execute("PRAGMA integrity_check").fetchall()
    except apsw.Error as error:
        return f"{type(error).__name__}: {error}"
    finally:
        db.close()
    return "" if found == [("ok",)] else str(found[0][0])


def _forgotten(world: World) -> str:
    db = apsw.Connection(world.database, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        kept = set(db.execute("SELECT execution_id, kind FROM decisions").fetchall())
    finally:
        db.close()
    missing = world.acknowledged - kept
    return f"decisions were acknowledged and are gone: {sorted(missing)}" if missing else ""


def _rebuilt(world: World) -> dict[str, Any]:
    """What the files and the journal alone make of it."""
    world.disk.mend()
    world.lose_database()
    with world.later():
        world.rest()
        world.close()
    return contents(world.database)
