"""Does moving an execution through its states lose an entry of an index? For each engine and way to write.

    python -m tests.studies.index_survival

The system before this one kept its state in Turso (SQLite rewritten in Rust) and moved rows by UPDATE; then
an UPDATE failed with "IdxDelete: no matching index entry found" and executions stayed Queued. This program
takes executions from Queued over Running to Completed, round robin, each step a transaction of its own, and
counts what the table and each index know: by the engine that wrote, then by SQLite when the writer is gone.

The last rows open one file with both engines in one process, where file locks cannot keep them apart.
Exits with 1 if a file that SQLite alone wrote is not whole, else with 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apsw

EXECUTIONS = 1_000
CHILD_SECONDS = 60
LINE = "{:<15}{:<20}{:<12}{:>6}{:>13}{:>11}{:>11}{:>8}{:>7}  {}"
HEADS = ("steps", "Que/Run/Com", "terminal", "rows", "failed", "s", "integrity_check")
STATES = ("Queued", "Running", "Completed")
TERMINAL = "('Completed', 'Failed', 'Stopped', 'Timeout')"
NAMES = ("execution_id", "benchmark_id", "agent", "status", "created_at", "updated_at", "progress",
         "error_message", "result_data", "metadata")  # fmt: skip
INDEXES = {"by_created_status": "created_at, status", "by_benchmark": "benchmark_id", "by_agent": "agent",
           "by_status": "status"}  # fmt: skip
INSERT = f"INSERT INTO execution_states ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})"
EXCLUDED = ", ".join(f"{name} = excluded.{name}" for name in NAMES[1:])
SET, WHERE = "UPDATE execution_states SET", "WHERE execution_id = ?"
Connection = Any  # what both engines offer, execute and close, has no common type
# statements, and the positions in NAMES that each binds
WAYS: dict[str, list[tuple[str, Sequence[int]]]] = {
    "INSERT": [(INSERT, range(10))],
    "DELETE+INSERT": [("DELETE FROM execution_states WHERE execution_id = ?", [0]), (INSERT, range(10))],
    "UPDATE": [(f"{SET} status=?, updated_at=?, progress=?, result_data=? {WHERE}", [3, 5, 6, 8, 0])],
    "UPDATE + created_at": [(f"{SET} status=?, created_at=?, result_data=? {WHERE}", [3, 5, 8, 0])],
    "UPSERT": [(f"{INSERT} ON CONFLICT (execution_id) DO UPDATE SET {EXCLUDED}", range(10))],
    "REPLACE": [(INSERT.replace("INSERT", "INSERT OR REPLACE", 1), range(10))],
}


@dataclass(frozen=True)
class Findings:
    """What an engine says of a file. Counts are in rows; `integrity` is what integrity_check answered."""

    integrity: list[str]
    statuses: dict[str, int] = field(default_factory=dict)
    terminal: int = 0
    terminal_by_index: int = 0
    rows: int = 0
    indexed: dict[str, int] = field(default_factory=dict)
    indexes: list[str] = field(default_factory=list)

    def whole(self, count: int) -> bool:
        counts = {self.terminal, self.terminal_by_index, self.rows, *self.indexed.values()}
        return self.integrity == ["ok"] and counts == {count}


@dataclass(frozen=True)
class Case:
    """One row of the table: who writes (a connection each, taking turns), how, and how many executions."""

    engines: tuple[str, ...]
    way: str
    count: int = EXECUTIONS
    reopened: bool = False


def row(number: int, step: int) -> tuple[object, ...]:
    """An execution in one of its states. Finished ones carry a result; each tenth needs overflow pages."""
    clock, text = f"{number // 60 % 60:02d}:{number % 60:02d}", "x" * (9_000 if number % 10 == 0 else 900)
    result = None if step < 2 else json.dumps({"success": True, "score": 1.0, "text": text})
    return (f"{number * 7919 % EXECUTIONS:08x}-run", f"{number % 13:03d}-case",
            ("deterministic", "glm-4.6", "local")[number % 3], STATES[step], f"2025-10-30T03:{clock}.000000Z",
            f"2025-10-30T04:{clock}.{step:06d}Z", step / 2, None, result,
            None if number % 2 else '{"runner":"study"}')  # fmt: skip


def create(db: Connection) -> None:
    columns = ", ".join(f"{name} {'REAL' if name == 'progress' else 'TEXT'}" for name in NAMES[1:])
    db.execute(f"CREATE TABLE execution_states (execution_id TEXT PRIMARY KEY NOT NULL, {columns})")
    for name, keys in INDEXES.items():
        db.execute(f"CREATE INDEX {name} ON execution_states ({keys})")


def move(db: Connection, way: str, values: tuple[object, ...]) -> None:
    """One execution into its next state, as one transaction. Raises what the engine raises."""
    db.execute("BEGIN")
    try:
        for sql, bound in WAYS[way]:
            db.execute(sql, [values[at] for at in bound])
        db.execute("COMMIT")
    except Exception as error:
        try:
            db.execute("ROLLBACK")
        except Exception as second:  # noqa: BLE001 - the first error is the one that is studied
            error.add_note(f"rolling back failed, too: {second}")
        raise


def write(path: Path, case: Case) -> tuple[list[str], Findings]:
    """Take all executions through all states. Returns the error of each step that failed, and what the first
    engine then finds in its own file."""
    errors: list[str] = []
    first, *others = (ENGINES[name] for name in case.engines)
    connections = [first(str(path))]
    create(connections[0])
    connections += [connect(str(path)) for connect in others]
    for step in range(len(STATES)):
        if case.reopened and step:
            while connections:
                connections.pop().close()
            connections = [ENGINES[name](str(path)) for name in case.engines]
        for number in range(case.count):
            db = connections[number % len(connections)]
            try:
                move(db, case.way if step else "INSERT", row(number, step))
            except Exception as error:  # noqa: BLE001 - what an engine raises is what is studied
                errors.append(f"{type(error).__name__}: {error}")
    found = judge(connections[0])
    for db in connections:
        db.close()
    return errors, found


def judge(db: Connection) -> Findings:
    """What this connection's engine finds. An error while it looks is a finding, too."""

    def ask(sql: str) -> list[Any]:
        return list(db.execute(sql).fetchall())

    count = "SELECT count(*) FROM execution_states"
    try:
        integrity = [line for (text,) in ask("PRAGMA integrity_check") for line in text.splitlines()]
        return Findings(
            integrity=integrity,
            statuses=dict(ask("SELECT status, count(*) FROM execution_states NOT INDEXED GROUP BY status")),
            terminal=ask(f"{count} NOT INDEXED WHERE status IN {TERMINAL}")[0][0],
            terminal_by_index=ask(f"{count} INDEXED BY by_status WHERE status IN {TERMINAL}")[0][0],
            rows=ask(f"{count} NOT INDEXED")[0][0],
            indexed={name: ask(f"{count} INDEXED BY {name} WHERE {keys.split(',')[0]} >= ''")[0][0]
                     for name, keys in INDEXES.items()},
            indexes=sorted(name for _, name, *_ in ask("PRAGMA index_list(execution_states)")),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - a damaged file can make any of these fail
        return Findings([f"{type(error).__name__}: {error}"])


def sqlite(path: str) -> Connection:
    """SQLite through apsw, as reevd opens it."""
    db = apsw.Connection(path)
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "normal")
    return db


def turso(path: str) -> Connection:
    """Turso through its own Python package, transactions by hand."""
    import turso as engine

    return engine.connect(path, isolation_level=None)


ENGINES: dict[str, Callable[[str], Connection]] = {"SQLite": sqlite, "Turso": turso}


def judged(path: Path) -> Findings:
    """SQLite's judgement of a file that nobody has open."""
    with closing(apsw.Connection(str(path))) as db:
        return judge(db)


def spawn(path: Path, case: Case) -> tuple[str, list[str], Findings | None]:
    """`write` in a process of its own, which a panic may end. Returns how it ended, if not well, first."""
    command = [sys.executable, "-m", __spec__.name, str(path), json.dumps(asdict(case))]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_SECONDS)
    except subprocess.TimeoutExpired:
        return f"the writer stood still for {CHILD_SECONDS} s", [], None
    if child.returncode:
        lines = child.stderr.splitlines() or [""]
        why = next((line for line in lines if "panicked at" in line), lines[-1])
        return f"the writer exited with {child.returncode}: {why}", [], None
    said = json.loads(child.stdout)
    return "", said["errors"], Findings(**said["own"])


def show(case: Case) -> Findings:
    """Run one case and print its line. The seconds include the start of its process."""
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / "study.db", time.monotonic()
        ended, errors, own = spawn(path, case)
        seconds, found = time.monotonic() - began, judged(path)
    print(LINE.format(
        " + ".join(dict.fromkeys(case.engines)), case.way,
        f"{len(case.engines)}{', reopened' if case.reopened else ''}", len(STATES) * case.count,
        "/".join(str(found.statuses.get(name, 0)) for name in STATES),
        f"{found.terminal}/{found.terminal_by_index}",
        f"{found.rows}/{min(found.indexed.values(), default=0)}", "?" if ended else len(errors),
        f"{seconds:.2f}", f"{found.integrity[0]} ({len(found.integrity)})",
    ))  # fmt: skip
    for note in [ended] if ended else [f"first error: {error}" for error in errors[:1]]:
        print(f"{'':15}{note[:200]}")
    if own and own != found:
        print(f"{'':15}{case.engines[0]} itself: {own.statuses}, integrity {own.integrity[0]}")
    return found


def main() -> int:
    names = ["SQLite"]
    try:
        import turso as _  # noqa: F401

        names.append("Turso")
        print(f"SQLite {apsw.sqlite_lib_version()}, Turso {version('pyturso')}")
    except ImportError as error:
        print(f"SQLite {apsw.sqlite_lib_version()}; Turso is left out, it cannot be imported: {error}")
    ways = [way for way in WAYS if way != "INSERT"]
    alone = [Case((name,) * many, way, reopened=reopened) for name in names for way in ways
             for many, reopened in ((1, False), (1, True), (2, False))]  # fmt: skip
    shared = [Case(("Turso", "SQLite"), way, count) for count in (200, EXECUTIONS) for way in ways]
    print("SQLite judges each file: counts by the table / by the index that knows fewest; the first line of")
    print("integrity_check and their number. `Turso + SQLite` have the file open in one process, in turns.\n")
    print(LINE.format("engine", "way", "connections", *HEADS))
    results = [(case, show(case)) for case in alone + (shared if "Turso" in names else [])]
    print(f"\nindexes: {', '.join(results[0][1].indexes)}")
    damaged = [case for case, found in results if "Turso" not in case.engines and not found.whole(case.count)]
    return int(bool(damaged))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        asked = json.loads(sys.argv[2])
        raised, own = write(Path(sys.argv[1]), Case(**{**asked, "engines": tuple(asked["engines"])}))
        print(json.dumps({"errors": raised, "own": asdict(own)}))
        sys.exit(0)
    sys.exit(main())
