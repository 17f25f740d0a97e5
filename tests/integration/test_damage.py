"""Damage that nobody meets but who asks for something: he is refused, and the database is made anew all the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import closing

import apsw
import pytest

from reevd.database import DAMAGED
from reevd.desk import sync_benchmarks
from reevd.engine import Engine
from reevd.model import Decision
from tests.harness import ROOT, leave, session
from tests.integration.conftest import Bench
from tests.integration.populated import damaged, rest

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
