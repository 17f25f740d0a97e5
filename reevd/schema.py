"""The tables, and how an older database becomes a newer one.

A migration is a function of one version; it runs with its `user_version` in one IMMEDIATE transaction, so
that a database is of one version or of the next, never between. `fixtures/db/` holds one frozen database of
every released version.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from functools import cache

import apsw

from reevd.errors import SchemaError
from reevd.model import Execution

STATES = """
CREATE TABLE execution_states (
    execution_id  TEXT PRIMARY KEY NOT NULL,
    benchmark_id  TEXT NOT NULL,
    agent         TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('Queued','Running','Completed','Failed','Stopped','Timeout')),
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    progress      REAL NOT NULL,
    error_message TEXT,
    result_data   TEXT,
    metadata      TEXT,
    score         REAL,
    reason        TEXT NOT NULL,
    started_at    TEXT,
    ended_at      TEXT,
    deadline_at   TEXT,
    began_at      TEXT NOT NULL,
    news_at       TEXT NOT NULL,
    session_file  TEXT,
    otel_file     TEXT,
    source_state  TEXT NOT NULL CHECK (source_state IN ('present','changed','gone')),
    tool_calls    INTEGER NOT NULL,
    locked        INTEGER NOT NULL,
    warnings      TEXT NOT NULL,
    history       TEXT NOT NULL,
    -- No execution is stuck: what has not ended has a moment at which it will be judged.
    CHECK ((deadline_at IS NULL) = (status NOT IN ('Queued','Running')))
);
CREATE INDEX execution_states_created ON execution_states (created_at, status);
CREATE INDEX execution_states_benchmark ON execution_states (benchmark_id, created_at);
CREATE INDEX execution_states_deadline ON execution_states (deadline_at) WHERE deadline_at IS NOT NULL;
"""

CHILDREN = """
CREATE TABLE tool_calls (
    execution_id  TEXT NOT NULL,
    seq           INTEGER NOT NULL,
    tool_name     TEXT NOT NULL,
    started_at    TEXT,
    duration_ms   REAL,
    params        TEXT,
    result        TEXT,
    status        TEXT NOT NULL,
    error_message TEXT,
    PRIMARY KEY (execution_id, seq)
) WITHOUT ROWID;
CREATE TABLE decisions (
    execution_id  TEXT NOT NULL,
    kind          TEXT NOT NULL,
    at            INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    benchmark_id  TEXT NOT NULL,
    agent         TEXT NOT NULL,
    PRIMARY KEY (execution_id, kind)
) WITHOUT ROWID;
"""

FILES = """
-- What was read and how: `mark` is set once a read counts, and is NULL while the file must be read again.
CREATE TABLE files (
    name          TEXT PRIMARY KEY NOT NULL,
    dev           INTEGER NOT NULL,
    ino           INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    mtime_ns      INTEGER NOT NULL,
    ctime_ns      INTEGER NOT NULL,
    mark          INTEGER
) WITHOUT ROWID;
CREATE TABLE problems (
    path          TEXT PRIMARY KEY NOT NULL,
    execution_id  TEXT,
    kind          TEXT NOT NULL,
    message       TEXT NOT NULL,
    since         TEXT NOT NULL,
    attempts      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE benchmarks (
    id            TEXT PRIMARY KEY NOT NULL,
    path          TEXT NOT NULL,
    description   TEXT NOT NULL,
    tags          TEXT NOT NULL,
    prompt        TEXT NOT NULL,
    yml_content   TEXT NOT NULL
);
CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID;
"""


def create(db: apsw.Connection) -> None:
    """Version 1: the tables of the first release."""
    for script in (STATES, CHILDREN, FILES):
        db.execute(script)


COLUMNS = ", ".join(Execution._fields)


# All that sums over many executions need: rows themselves may hold megabytes. Only ended ones are summed.
ENDED = """
CREATE INDEX execution_states_ended ON execution_states (agent, benchmark_id, created_at, status, score)
    WHERE deadline_at IS NULL;
"""


def number_changes(db: apsw.Connection) -> None:
    """Version 2: each row carries the number of its last change, so that a reader can ask what came since.

    It is the table's own key: a row that is replaced moves to the end, and no further index is kept for it. What has
    ended is indexed for analyses.
    """
    numbered = STATES[: STATES.index(";")].replace("TEXT PRIMARY KEY NOT NULL", "TEXT UNIQUE NOT NULL")
    numbered = numbered.replace("    -- No execution", "    change        INTEGER PRIMARY KEY,\n    -- No execution")
    db.execute("ALTER TABLE execution_states RENAME TO older")
    for name in ("created", "benchmark", "deadline"):
        db.execute(f"DROP INDEX execution_states_{name}")
    db.execute(numbered)
    db.execute(f"INSERT INTO execution_states ({COLUMNS}, change) SELECT {COLUMNS}, rowid FROM older")
    db.execute("DROP TABLE older")
    db.execute(STATES[STATES.index(";") + 1 :])
    db.execute(ENDED)
    db.execute("INSERT INTO meta VALUES ('birth', lower(hex(randomblob(8))))")


# A list of more than two costs SQLite a table of its own for each row that is checked: a quarter of all that storing
# a result takes.
SLOW_CHECKS = re.compile(r"CHECK \((\w+) IN \(([^)]+)\)\)")


def compare_one_by_one(db: apsw.Connection) -> None:
    """Version 3: the checks ask the same by comparisons.

    The text of the table is all that changes, and no row is checked or written anew: SQLite's way where the content
    stays as it is (https://sqlite.org/lang_altertable.html, section 7).
    """
    (slow,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'execution_states'").fetchone()  # type: ignore[misc]
    fast = SLOW_CHECKS.sub(_compared, slow)
    (version,) = db.execute("PRAGMA schema_version").fetchone()  # type: ignore[misc]
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'execution_states'", (fast,))
    db.execute(f"PRAGMA schema_version = {version + 1}")  # others that have it open are to read the text anew
    db.execute("PRAGMA writable_schema = RESET")


def _compared(check: re.Match[str]) -> str:
    column, values = check[1], check[2].split(",")
    return f"CHECK ({' OR '.join(f'{column} = {value.strip()}' for value in values)})"


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (create, number_changes, compare_one_by_one)
VERSION = len(MIGRATIONS)


def migrate(db: apsw.Connection, path: str) -> None:
    """Brings the database to VERSION. Raises SchemaError where it is newer, CorruptError where it is not ours."""
    found = db.pragma("user_version")
    if found > VERSION:
        raise SchemaError(
            "opening the database",
            path,
            f"its schema is version {found}, and this reevd knows versions up to {VERSION}",
            "run the newer reevd again, or move the file aside: it is rebuilt from the files and the journal",
        )
    for version in range(found, VERSION):
        db.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[version](db)
            db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        except apsw.SQLError as error:
            db.execute("ROLLBACK")
            raise apsw.CorruptError(f"it is none of reevd's: {error}") from error
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    check(db)


def check(db: apsw.Connection) -> None:
    """Raises CorruptError where it lacks a table or an index that VERSION has."""
    if missing := _names() - _named(db):
        raise apsw.CorruptError(f"it lacks {', '.join(sorted(missing))}")


@cache
def _names() -> frozenset[str]:
    with contextlib.closing(apsw.Connection(":memory:")) as db:
        for migration in MIGRATIONS:
            migration(db)
        return _named(db)


def _named(db: apsw.Connection) -> frozenset[str]:
    return frozenset(name for (name,) in db.execute("SELECT name FROM sqlite_schema"))
