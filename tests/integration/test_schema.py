"""Older and newer databases: opened with everything in them, refused, or left as they were."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from reevd import schema
from reevd.errors import SchemaError
from reevd.model import Status
from reevd.schema import VERSION
from reevd.store import Store
from tests.harness import ROOT
from tests.integration.conftest import Bench
from tests.integration.populated import damaged, fill, open_copy, statuses

FROZEN = sorted((ROOT / "fixtures" / "db").glob("v*.sqlite3"))


def test_a_newer_schema_is_refused_and_left_alone(bench: Bench) -> None:
    fill(bench, 1)
    bench.close()
    db = apsw.Connection(str(bench.database))
    db.pragma("user_version", 99)
    db.close()
    with pytest.raises(SchemaError, match=f"version 99, and this reevd knows versions up to {VERSION}") as caught:
        bench.start()
    assert caught.value.hint
    assert not damaged(bench)
    with open_copy(bench.database) as db:
        assert db.pragma("user_version") == 99
        assert db.execute("SELECT count(*) FROM execution_states").get == 2


def everything(db: apsw.Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table as a dictionary."""
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    found: dict[str, list[dict[str, Any]]] = {}
    for table in tables:
        cursor = db.execute(f'SELECT * FROM "{table}"')
        rows = cursor.fetchall()
        names = [column[0] for column in db.execute(f'SELECT name FROM pragma_table_info("{table}")')]
        found[table] = [dict(zip(names, row, strict=True)) for row in rows]
    return found


@pytest.mark.parametrize("frozen", FROZEN, ids=lambda path: path.stem)
def test_a_database_of_every_released_version_opens_today(bench: Bench, frozen: Path) -> None:
    with open_copy(shutil.copyfile(frozen, bench.home / "before")) as db:
        before = everything(db)
    shutil.copyfile(frozen, bench.database)
    today = Store(str(bench.database))
    try:
        assert today.db.pragma("user_version") == VERSION
        assert today.rows("PRAGMA integrity_check") == [("ok",)]
        after = everything(today.db)
    finally:
        today.close()
    for table, rows in before.items():
        kept = [{name: row[name] for name in rows[0]} for row in after[table]]
        assert [row for row in kept if row in rows] == rows, table
    bench.start()
    found = {execution_id: row[0] for execution_id, row in statuses(bench).items()}
    version = frozen.stem
    assert found[f"{version}-completed"] == "Completed"
    assert found[f"{version}-failed"] == "Failed"
    assert found[f"{version}-stub"] == found[f"{version}-garbled"] == "Timeout"
    assert f"{version}-running" in found
    assert not damaged(bench)


@pytest.mark.parametrize("frozen", [None, *FROZEN], ids=lambda path: path.stem if path else "new")
def test_no_state_that_there_is_not_can_be_stored(bench: Bench, frozen: Path | None) -> None:
    """In a new database as in one that was brought to today's version."""
    if frozen:
        shutil.copyfile(frozen, bench.database)
    today = Store(str(bench.database))
    try:
        assert today.rows("PRAGMA writable_schema") == [(0,)]
        columns = "execution_id, benchmark_id, agent, created_at, updated_at, progress, reason, began_at, news_at"
        columns += ", tool_calls, locked, warnings, history, status, source_state, deadline_at"
        insert = f"INSERT INTO execution_states ({columns}) VALUES (?,'b','a','','',0,'','','',0,0,'','',?,?,?)"
        refused = {
            ("Done", "present", None): "status",
            ("", "present", None): "status",
            ("Completed", "lost", None): "source_state",
            ("Running", "present", None): "deadline_at",
            ("Failed", "present", "2026"): "deadline_at",
        }
        for values, column in refused.items():
            with pytest.raises(apsw.ConstraintError, match=column):
                today.db.execute(insert, ("new", *values))
        states = [(status, None if status.terminal else "2026") for status in Status]
        for number, (status, deadline) in enumerate(states):
            for source in ("present", "changed", "gone"):
                today.db.execute(insert, (f"new-{number}-{source}", status, source, deadline))
    finally:
        today.close()


def test_every_version_is_frozen() -> None:
    assert [path.stem for path in FROZEN] == [f"v{number}" for number in range(1, VERSION + 1)]


@pytest.mark.parametrize("error", [RuntimeError("defect"), apsw.FullError("disk is full"), KeyboardInterrupt()])
def test_a_migration_that_fails_half_way_leaves_the_old_version_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    fill(bench, 3)
    before = statuses(bench)
    bench.close()

    def broken(db: apsw.Connection) -> None:
        db.execute("ALTER TABLE execution_states ADD COLUMN added TEXT")
        db.execute("DELETE FROM tool_calls")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
        patch.setattr(schema, "VERSION", VERSION + 1)
        with pytest.raises(type(error)):
            bench.start()
    bench.engine = None
    assert not damaged(bench)
    with open_copy(bench.database) as db:
        assert db.pragma("user_version") == VERSION
        assert "added" not in everything(db)["execution_states"][0]
    bench.start()
    assert statuses(bench) == before
