"""Damage that nobody meets but who asks for something: he is refused, and the database is made anew all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from reevd.database import DAMAGED
from reevd.desk import sync_benchmarks
from reevd.engine import Engine
from reevd.model import Decision
from reevd.store import Store
from tests.harness import ROOT, leave, session
from tests.integration.conftest import Bench
from tests.integration.populated import damaged, rest
from tests.integration.test_defences import line

# From another process: to close any descriptor of the database would drop the locks that this one has on it.
SPOIL = """
import os, sys
path, page, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(path, "r+b") as file:
    file.seek((page - 1) * size)
    file.write(bytes(size))
"""
RUNS = ["r0", "r1", "r2"]


def start(bench: Bench) -> Engine:
    """An engine that has read its database through, and reads none of it any more."""
    engine = bench.start()
    for execution_id in RUNS:
        leave(bench.sessions, execution_id, session(execution_id))
    shutil.copy(ROOT / "benchmarks" / "001-sol-transfer.yml", bench.home)
    sync_benchmarks(engine, str(bench.home))
    rest(bench)
    bench.until(lambda: engine.books._inspection._thread.ident and not engine.books._inspection.under_way, "inspected")
    return engine


def spoil(bench: Bench, engine: Engine, name: str) -> None:
    """Zeroes the first page of a table or an index; what the engine has of it in its memory is void."""
    with closing(apsw.Connection(str(bench.database))) as other:
        page = other.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,)).get
        other.execute("INSERT OR REPLACE INTO meta VALUES ('other', 1)")
    engine.store.checkpoint(truncate=True)
    command = [sys.executable, "-c", SPOIL, str(bench.database), str(page), str(engine.store.page)]
    subprocess.run(command, check=True, timeout=20)


def made_anew(bench: Bench, engine: Engine) -> None:
    """Nobody writes a file meanwhile."""
    bench.until(lambda: damaged(bench), "the damaged one is moved aside")
    bench.until(lambda: engine.ready and not engine.health().reasons, "all is read again")
    assert [bench.status(execution_id) for execution_id in RUNS] == ["Completed"] * len(RUNS)


@pytest.mark.parametrize("name", ["execution_states_created", "decisions"])
def test_what_was_refused_for_damage_does_not_come_back_with_the_new_database(bench: Bench, name: str) -> None:
    engine = start(bench)
    spoil(bench, engine, name)
    with pytest.raises(DAMAGED):
        engine.decide(Decision("asked", "queued", engine.clock.now(), "queued", "001-sol-transfer", "deterministic"))
    made_anew(bench, engine)
    assert bench.row("asked") is None
    engine.decide(Decision("asked", "queued", engine.clock.now(), "queued", "001-sol-transfer", "deterministic"))
    assert bench.status("asked") == "Queued"


def test_damage_that_only_the_cases_meet_is_mended(bench: Bench) -> None:
    engine = start(bench)
    spoil(bench, engine, "benchmarks")
    with pytest.raises(DAMAGED):
        sync_benchmarks(engine, str(bench.home))
    made_anew(bench, engine)
    assert sync_benchmarks(engine, str(bench.home))["inserted"] == 1


def garble(bench: Bench, text: bytes) -> None:
    """While nobody has it open: the first byte of the text, wherever it stands, is none of UTF-8."""
    bench.close()
    content = bench.database.read_bytes()
    assert text in content
    bench.database.write_bytes(content.replace(text, bytes((text[0] | 0x80,)) + text[1:]))


def test_a_text_that_is_damaged_ends_nobody(bench: Bench) -> None:
    """SQLite's own check does not look at what a text holds."""
    start(bench)
    garble(bench, b"the session file reports success")
    engine = bench.start()
    leave(bench.sessions, "r0", session("r0", final_result={"success": True, "score": 0.25}))
    made_anew(bench, engine)
    row = bench.row("r0")
    assert row is not None
    assert row.score == 0.25


def test_a_text_that_is_damaged_where_the_journal_is_lost_ends_nobody(bench: Bench) -> None:
    start(bench)
    garble(bench, b"the session file reports success")
    Path(f"{bench.database}.journal").unlink()
    engine = bench.start()
    leave(bench.sessions, "later", session("later"))
    bench.until(lambda: bench.status("later") == "Completed", "it goes on")
    bench.until(lambda: not engine.books._rewriting._work, "it is given up")
    assert any("journal" in reason for reason in engine.health().reasons)
    assert not damaged(bench)


def foreign(path: Path, version: int) -> None:
    with closing(apsw.Connection(str(path))) as db:
        db.execute("CREATE TABLE files (of_somebody_else)")
        db.pragma("user_version", version)


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_database_of_somebody_else_is_moved_aside(bench: Bench, version: int) -> None:
    foreign(bench.database, version)
    bench.start()
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "it works")
    assert len(damaged(bench)) == 1


@pytest.mark.parametrize("what", ["TABLE problems", "TABLE tool_calls", "TABLE meta", "INDEX execution_states_created"])
def test_a_table_that_somebody_drops_is_mended(bench: Bench, what: str) -> None:
    """An index at the next start, a table once something is to be stored in it."""
    engine = start(bench)
    with closing(apsw.Connection(str(bench.database))) as other:
        other.execute(f"DROP {what}")
    if "INDEX" in what:
        bench.close()
        engine = bench.start()
    (bench.sessions / "session_odd name.json").touch()
    (bench.sessions / "enhanced_otel_r0.jsonl").write_text(line("a"))
    leave(bench.sessions, "later", session("later"))
    made_anew(bench, engine)
    bench.until(lambda: (row := bench.row("r0")) and row.tool_calls == 1, "its call is stored")


def test_odd_names_that_are_met_while_storing_fails_are_noted_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = start(bench)

    def full(*_: object, **__: object) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "reconcile", full)
        patch.setattr(Store, "note", full)
        path = bench.sessions / "session_odd name.json"
        for _ in range(20):
            path.touch()
            bench.until(lambda: engine.patrol.odd, "it is noticed")
        assert len(engine.patrol.odd) == 1
    bench.until(lambda: bench.problems() == {path.name: "name"}, "it is told")


def test_telemetry_that_grows_past_all_bounds_takes_no_calls_away(bench: Bench) -> None:
    bench.bounds = bench.bounds._replace(otel_bytes=100_000)
    bench.start()
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    telemetry.write_text(line("a") * 3)
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: (row := bench.row("a")) and row.tool_calls == 3, "its calls are known")
    rest(bench)
    os.truncate(telemetry, 200_000)
    bench.until(lambda: bench.problems() == {telemetry.name: "size"}, "it is told")
    rest(bench)
    row = bench.row("a")
    assert row is not None
    assert row.tool_calls == 3
