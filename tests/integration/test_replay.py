"""The journal read again: in the order in which it was written, over whatever stands, and past what fits nowhere."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from reevd import database, reconciler, restore
from reevd.bounds import Bounds
from reevd.change import Change
from reevd.journal import Journal, line_of
from reevd.reconciler import StoringError
from reevd.store import Store
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.test_defences import RUNNING, line, lose_database, rest, tools

FAR = "2999-01-01T00:00:00Z"


def scored(execution_id: str, score: float, **final: object) -> dict[str, object]:
    return session(execution_id, final_result={"success": True, "score": score, "data": {}, **final})


def score(bench: Bench, execution_id: str) -> float | None:
    row = bench.row(execution_id)
    return row.score if row else None


def test_of_two_results_the_later_counts_whatever_the_clock_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock was years ahead when the first came. Each batch of the replay is a transaction of its own."""
    monkeypatch.setattr(restore, "BATCH", 1)
    bench.start()
    for found in (0.25, 0.75):
        leave(bench.sessions, "a", scored("a", found))
        bench.until(lambda found=found: score(bench, "a") == found, "it is read")  # type: ignore[misc]
        rest(bench)
    (bench.sessions / "session_a.json").unlink()
    lose_database(bench)
    path = Path(f"{bench.database}.journal")
    journal = Journal(str(path))
    records = list(journal.replay(0))
    journal.close()
    records[0]["result"]["updated_at"] = FAR
    path.write_bytes(b"".join(map(line_of, records)))
    bench.start()
    assert score(bench, "a") == 0.75


def test_who_was_removed_and_came_back_is_not_removed_once_more(bench: Bench) -> None:
    """A compaction that is cut short has the next start read all of the journal, over what stands."""
    engine = bench.start()
    for name in ("result", "running", "away"):
        leave(bench.sessions, name, scored(name, 0.25))
    rest(bench)
    assert set(engine.patrol.remove(["result", "running", "away"], dry=False).executions) == {
        "result",
        "running",
        "away",
    }
    leave(bench.sessions, "result", scored("result", 0.75))
    (bench.sessions / "enhanced_otel_result.jsonl").write_text(line("a") + line("b"))
    leave(bench.sessions, "running", session("running", **RUNNING))
    rest(bench)
    for path in bench.sessions.iterdir():
        path.unlink()
    bench.until(lambda: (row := bench.row("result")) and row.source_state == "gone", "its files are gone")
    rest(bench)
    engine.store.note("journal_size", 0)
    bench.close()
    bench.start()
    row = bench.row("result")
    assert row is not None
    assert (row.score, row.tool_calls) == (0.75, 2)
    assert bench.status("running") == "Running"
    assert bench.row("away") is None


@pytest.fixture
def small_rows(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """SQLite holds rows of 200,000 bytes at most, instead of a thousand million."""
    real = database.connect

    def limited(path: str, vfs: str | None = None) -> apsw.Connection:
        db = real(path, vfs)
        db.limit(apsw.SQLITE_LIMIT_LENGTH, 200_000)
        return db

    monkeypatch.setattr(database, "connect", limited)
    return monkeypatch


def test_a_row_that_is_too_long_is_told_and_keeps_nobody_else(bench: Bench, small_rows: pytest.MonkeyPatch) -> None:
    bench.start()
    journal = Path(f"{bench.database}.journal")
    leave(bench.sessions, "big", scored("big", 0.5, notes="x" * 300_000))
    leave(bench.sessions, "small", scored("small", 0.5))
    bench.until(lambda: bench.status("small") == "Completed", "the other is known")
    rest(bench)
    assert bench.problems() == {"session_big.json": "internal"}
    assert journal.stat().st_size < 100_000, "what cannot be stored is not journaled again and again"
    bench.close()
    small_rows.undo()
    bench.start()
    bench.until(lambda: bench.status("big") == "Completed", "it is read by who can store it")
    assert not bench.problems()


def test_a_record_that_is_too_long_does_not_keep_the_daemon_from_starting(
    bench: Bench, request: pytest.FixtureRequest
) -> None:
    bench.start()
    leave(bench.sessions, "big", scored("big", 0.5, notes="x" * 300_000))
    leave(bench.sessions, "small", scored("small", 0.5))
    rest(bench)
    (bench.sessions / "session_small.json").unlink()
    rest(bench)
    lose_database(bench)
    request.getfixturevalue("small_rows")
    bench.start()
    assert bench.status("small") == "Completed"
    assert bench.problems() == {"session_big.json": "internal"}


def test_the_kind_of_an_error_does_not_make_the_row_grow(bench: Bench) -> None:
    """It stands in each transition of the history."""
    bench.start()
    final = {"success": False, "error": {"kind": "k" * 1_000_000, "message": "m"}}
    leave(bench.sessions, "a", session("a", final_result=final))
    bench.until(lambda: bench.status("a") == "Failed", "it is read")
    row = bench.row("a")
    assert row is not None
    assert len(row.reason) < 1_000
    assert len(row.history) < 2_000


@contextmanager
def refused_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The next transaction fails, with what is in the journal by then."""
    real, failed = Store.reconcile, list[str]()

    def full(store: Store, *given: Any, **named: Any) -> None:
        if not failed:
            failed.append("once")
            raise apsw.FullError("database or disk is full")
        real(store, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "reconcile", full)
        yield failed


def test_a_result_that_the_journal_alone_has_is_stored_though_its_file_is_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file went before the next try, and something else was stored first."""
    bench.bounds = Bounds(settle_ns=0)
    engine = bench.start()
    path = leave(bench.sessions, "a", session("a", **RUNNING))
    bench.until(lambda: bench.status("a") == "Running", "it runs")
    rest(bench)
    with refused_once(monkeypatch) as failed:
        leave(bench.sessions, "a", session("a"))
        bench.until(lambda: failed, "its result is not stored")
        path.unlink()
        leave(bench.sessions, "b", session("b"))
        bench.until(lambda: bench.status("b") == "Completed", "another is")
        rest(bench)
    assert bench.status("a") == "Completed"
    assert not engine.health().reasons
    lose_database(bench)
    bench.start()
    assert bench.status("a") == "Completed"


@pytest.mark.parametrize("killed", [False, True])
def test_what_the_journal_alone_has_is_newer_than_a_row_whose_clock_was_ahead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    bench.bounds = Bounds(settle_ns=0)
    engine = bench.start()
    path = leave(bench.sessions, "a", scored("a", 0.25))
    bench.until(lambda: bench.status("a") == "Completed", "it is read")
    rest(bench)
    with engine.store.transaction():
        engine.store.db.execute("UPDATE execution_states SET updated_at = ?", (FAR,))
    with refused_once(monkeypatch) as failed:
        leave(bench.sessions, "a", scored("a", 0.75))
        bench.until(lambda: failed, "the newer result is not stored")
        path.unlink()
        if killed:
            bench.close()
            bench.start()
        leave(bench.sessions, "b", session("b"))
        bench.until(lambda: bench.status("b") == "Completed", "another is stored")
        rest(bench)
    assert score(bench, "a") == 0.75


@pytest.mark.parametrize("killed", [False, True])
def test_calls_stay_where_the_journal_alone_has_the_row_that_stands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """The end that was shown came to rest, and that was not stored; its files went."""
    bench.bounds = Bounds(settle_ns=300_000_000)
    bench.start()
    leave(bench.sessions, "before", session("before"))
    rest(bench)
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    telemetry.write_text(line("x") + line("y"))
    path = leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed" and tools(bench, "a") == ["x", "y"], "it is shown")
    real, failed = Store.reconcile, list[str]()

    def full(store: Store, changes: list[Change], *given: Any, **named: Any) -> None:
        if any(change.archive for change in changes) and not (failed and not killed):
            failed.append("archived")
            raise apsw.FullError("database or disk is full")
        real(store, changes, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "reconcile", full)
        bench.until(lambda: failed, "its record is in the journal alone")
        path.unlink()
        telemetry.unlink()
        if killed:
            bench.close()
    if killed:
        bench.start()
    bench.until(lambda: (row := bench.row("a")) and row.source_state == "gone", "its files are gone")
    rest(bench)
    assert tools(bench, "a") == ["x", "y"]


def test_a_removal_that_was_refused_is_not_found_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a database that is lost would come back without who stood in it."""
    engine = bench.start()
    path = leave(bench.sessions, "a", session("a"))
    rest(bench)
    path.unlink()
    bench.until(lambda: (row := bench.row("a")) and row.source_state == "gone", "its file is gone")
    rest(bench)

    def full(*_: object) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(reconciler, "forget", full)
        with pytest.raises(StoringError):
            engine.patrol.remove(["a"], dry=False)
    leave(bench.sessions, "b", session("b"))
    rest(bench)
    assert bench.status("a") == "Completed"
    lose_database(bench)
    bench.start()
    assert bench.status("a") == "Completed"


def test_a_record_that_is_no_json_keeps_nobody_else_from_coming_back(bench: Bench) -> None:
    """Its text was damaged in the database before it was written, so that its checksum is right."""
    bench.start()
    for name in ("a", "b", "c"):
        leave(bench.sessions, name, session(name))
        rest(bench)
    for path in bench.sessions.iterdir():
        path.unlink()
    lose_database(bench)
    path = Path(f"{bench.database}.journal")
    lines = [each for each in path.read_bytes().splitlines(keepends=True) if b'"b"' in each]
    assert lines
    for each in lines:
        text = each[9:-1].replace(b'{"success"', b'{!success"')
        path.write_bytes(path.read_bytes().replace(each, b"%08x %s\n" % (zlib.crc32(text), text)))
    bench.start()
    assert [bench.status(name) for name in ("a", "b", "c")] == ["Completed", None, "Completed"]


def test_a_replay_that_is_cut_short_brings_nobody_back_who_was_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a new database; what it has stored by then did not stand before."""
    monkeypatch.setattr(restore, "BATCH", 1)
    engine = bench.start()
    for name in ("a", "b", "stays"):
        leave(bench.sessions, name, session(name))
    rest(bench)
    assert engine.patrol.remove(["a", "b"], dry=False).executions
    lose_database(bench)
    real, stored = Store.reconcile, list[str]()

    def killed(store: Store, *given: Any, **named: Any) -> None:
        if len(stored) == 2:
            raise apsw.IOError("the power went")
        stored.append("one")
        real(store, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "reconcile", killed)
        with pytest.raises(apsw.IOError):
            bench.start()
    bench.start()
    assert [bench.status(name) for name in ("a", "b", "stays")] == [None, None, "Completed"]


def test_calls_stay_where_a_result_comes_from_the_journal_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files went, and that was not stored at once: no file is left that would tell the calls again."""
    engine = bench.start()
    path = leave(bench.sessions, "a", session("a"))
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    telemetry.write_text(line("x") + line("y"))
    bench.until(lambda: (row := bench.row("a")) and row.tool_calls == 2, "its calls are known")
    rest(bench)
    with refused_once(monkeypatch) as failed:
        path.unlink()
        telemetry.unlink()
        bench.until(lambda: failed, "that they are gone is not stored")
        bench.until(lambda: (row := bench.row("a")) and row.source_state == "gone", "it is stored")
        rest(bench)
    row = bench.row("a")
    assert row is not None
    assert row.tool_calls == 2
    assert engine.store.rows("SELECT count(*) FROM tool_calls") == [(2,)]
