"""Does moving an execution through its states lose an entry of an index? For each engine and each way to write.

    python -m tests.studies.index_survival

The system before this one kept its state in Turso (the rewrite of SQLite in Rust) and moved rows by UPDATE;
one day an UPDATE failed with "IdxDelete: no matching index entry found" and executions stood at Queued for
ever. This program takes 1,000 executions from Queued over Running to Completed, each step a transaction of
its own, and then counts what the table and what each index know. The file is judged by SQLite itself.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import apsw

EXECUTIONS = 1_000
SHAPES = ("one", "reopened", "two")
STATES = ("Queued", "Running", "Completed")
NAMES = ("execution_id", "benchmark_id", "agent", "status", "created_at", "updated_at", "progress", "error_message",
         "result_data", "metadata")  # fmt: skip
INDEXES = {
    "by_created_status": "(created_at, status)",
    "by_benchmark": "(benchmark_id)",
    "by_agent": "(agent)",
    "by_status": "(status)",
}
INSERT = f"INSERT INTO execution_states ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})"
EXCLUDED = ", ".join(f"{name} = excluded.{name}" for name in NAMES[1:])
Row = tuple[object, ...]


class Connection(Protocol):
    """What both engines' connections can do."""

    def execute(self, sql: str, values: Any = ..., /) -> Any: ...

    def close(self) -> None: ...


class Way(NamedTuple):
    """A way to write a row that may be there already: statements and what they take from the row."""

    name: str
    statements: tuple[tuple[str, Callable[[Row], Row]], ...]


def _all(row: Row) -> Row:
    return row


WAYS = (
    Way("DELETE+INSERT", (("DELETE FROM execution_states WHERE execution_id = ?", lambda r: r[:1]), (INSERT, _all))),
    Way("UPDATE", (
        ("UPDATE execution_states SET status = ?, updated_at = ?, progress = ?, result_data = ? WHERE execution_id = ?",
         lambda r: (r[3], r[5], r[6], r[8], r[0])),
    )),
    Way("UPDATE of created_at, too", (
        ("UPDATE execution_states SET status = ?, created_at = ?, result_data = ? WHERE execution_id = ?",
         lambda r: (r[3], r[5], r[8], r[0])),
    )),
    Way("UPSERT", ((f"{INSERT} ON CONFLICT (execution_id) DO UPDATE SET {EXCLUDED}", _all),)),
    Way("REPLACE", ((INSERT.replace("INSERT", "INSERT OR REPLACE", 1), _all),)),
)  # fmt: skip


class Outcome(NamedTuple):
    """terminal: by the table. indexed: the fewest that any index knows. errors: how many steps failed; the first."""

    terminal: int
    indexed: int
    integrity: str
    complaints: int
    errors: int
    first_error: str
    indexes: list[str]
    seconds: float


def row(number: int, step: int) -> Row:
    """An execution in one of its states. Finished ones carry a result, of which some need overflow pages."""
    result = (
        None if step < 2 else '{"success":true,"score":1.0,"text":"' + "x" * (9_000 if number % 10 == 0 else 900) + '"}'
    )
    return (
        f"{number * 7919 % EXECUTIONS:08x}-run",
        f"{number % 13:03d}-case",
        ("deterministic", "glm-4.6", "local")[number % 3],
        STATES[step],
        f"2025-10-30T03:{number // 60 % 60:02d}:{number % 60:02d}.000000Z",
        f"2025-10-30T04:{number // 60 % 60:02d}:{number % 60:02d}.{step:06d}Z",
        step / 2,
        None,
        result,
        None if number % 2 else '{"runner":"study"}',
    )


def create(db: Connection) -> None:
    columns = ", ".join(f"{name} {'REAL' if name == 'progress' else 'TEXT'}" for name in NAMES[1:])
    db.execute(f"CREATE TABLE execution_states (execution_id TEXT PRIMARY KEY NOT NULL, {columns})")
    for name, columns in INDEXES.items():
        db.execute(f"CREATE INDEX {name} ON execution_states {columns}")


@contextmanager
def transaction(db: Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
        db.execute("COMMIT")
    except Exception:
        db.execute("ROLLBACK")
        raise


def run(way: Way, connect: Callable[[str], Connection], path: Path, shape: str) -> Outcome:
    """All executions through all states, round robin; then SQLite's judgement on the file.

    shape: `one` connection; `reopened` between the states; `two` connections that take turns
    """
    began = time.monotonic()
    errors: list[str] = []
    connections = [connect(str(path))]
    create(connections[0])
    if shape == "two":
        connections.append(connect(str(path)))
    for step in range(len(STATES)):
        if shape == "reopened" and step:
            connections.pop().close()
            connections.append(connect(str(path)))
        for number in range(EXECUTIONS):
            db, values = connections[number % len(connections)], row(number, step)
            statements = ((INSERT, _all),) if step == 0 else way.statements
            try:
                with transaction(db):
                    for sql, taken in statements:
                        db.execute(sql, taken(values))
            except Exception as error:  # noqa: BLE001 - what an engine raises is what is studied
                errors.append(f"{type(error).__name__}: {error}")
    for db in connections:
        db.close()
    return judge(path, errors, time.monotonic() - began)


def judge(path: Path, errors: list[str], seconds: float) -> Outcome:
    """What SQLite finds in the file, whichever engine wrote it."""
    db = apsw.Connection(str(path))
    try:
        done = "SELECT count(*) FROM execution_states {} WHERE status = 'Completed'"
        (terminal,) = db.execute(done.format("NOT INDEXED")).fetchall()[0]
        counts = []
        for name, columns in INDEXES.items():
            first = columns.strip("()").split(",")[0]
            counting = f"SELECT count(*) FROM execution_states INDEXED BY {name} WHERE {first} >= ''"
            counts.append(db.execute(counting).fetchall()[0][0])
        counts.append(db.execute(done.format("INDEXED BY by_status")).fetchall()[0][0])
        verdict = [line for (line,) in db.execute("PRAGMA integrity_check").fetchall()]
        indexes = [name for (_, name, *_rest) in db.execute("PRAGMA index_list(execution_states)").fetchall()]
    except apsw.Error as error:
        return Outcome(0, 0, f"unreadable: {error}", 1, len(errors), errors[0] if errors else "", [], seconds)
    finally:
        db.close()
    complaints = 0 if verdict == ["ok"] else len(verdict)
    return Outcome(
        terminal, min(counts), str(verdict[0]), complaints, len(errors), errors[0] if errors else "", indexes, seconds
    )


def sqlite(path: str) -> Connection:
    """SQLite through apsw, as reevd opens it."""
    db = apsw.Connection(path)
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "normal")
    return db


def turso(path: str) -> Connection:
    """Turso through its own Python package, transactions by hand."""
    import turso as engine

    found: Connection = engine.connect(path, isolation_level=None)
    return found


def main() -> int:
    engines: list[tuple[str, Callable[[str], Connection]]] = [(f"SQLite {apsw.sqlite_lib_version()}", sqlite)]
    try:
        from importlib.metadata import version

        engines.append((f"Turso {version('pyturso')}", turso))
    except ImportError:
        print("Turso: its package `pyturso` is not installed: left out")
    print(f"{EXECUTIONS} executions, Queued > Running > Completed, a transaction a step; the files judged by SQLite\n")
    counts = f"{'terminal':>9}{'by index':>9}{'errors':>8}{'seconds':>9}"
    print(f"{'engine':<15}{'way':<29}{'connections':<13}{counts}  integrity_check")
    damaged, indexes = False, list[str]()
    for engine, connect in engines:
        for way in WAYS:
            for shape in SHAPES:
                with tempfile.TemporaryDirectory() as folder:
                    found = run(way, connect, Path(folder) / "study.db", shape)
                more = f" (+{found.complaints - 1} more)" if found.complaints > 1 else ""
                print(
                    f"{engine:<15}{way.name:<29}{shape:<13}{found.terminal:>9}{found.indexed:>9}"
                    f"{found.errors:>8}{found.seconds:>9.2f}  {found.integrity}{more}"
                )
                if found.first_error:
                    print(f"{'':15}first error: {found.first_error}")
                damaged |= connect is sqlite and (found.complaints > 0 or found.terminal < EXECUTIONS)
                indexes = found.indexes or indexes
    print(f"\nindexes: {', '.join(indexes)}")
    return int(damaged)


if __name__ == "__main__":
    sys.exit(main())
