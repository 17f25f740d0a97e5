"""The journal rewritten beside the work: it comes to its end, loses nobody, and is in nobody's way."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import apsw
import pytest

from reevd import compaction, rewriting, transcript
from reevd.change import Change
from reevd.compaction import Compaction
from reevd.journal import LOST
from reevd.model import Decision
from reevd.reconciler import StoringError
from reevd.store import Store
from reevd.transcript import Transcript
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.test_defences import lose_database, rest
from tests.integration.test_transcript import all_stand, journal_of, three


def test_a_result_that_is_rewritten_again_and_again_does_not_fill_the_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that came to rest is in the journal; only the newest is in the database."""
    monkeypatch.setattr(rewriting, "OVERGROWN", 1 << 16)
    engine = bench.start()
    path = journal_of(bench)
    for number in range(8):
        said = session("a", final_result={"success": True, "score": number / 10, "notes": f"{number}" * 400_000})
        leave(bench.sessions, "a", said)
        bench.until(lambda n=number: (row := bench.row("a")) and row.score == n / 10, "it is read")  # type: ignore[misc]
        rest(bench)
    bench.until(lambda: path.stat().st_size < 1_000_000, "it holds one, or two")
    assert not engine.health().reasons
    (bench.sessions / "session_a.json").unlink()
    bench.close()
    lose_database(bench)
    bench.start()
    row = bench.row("a")
    assert row is not None
    assert row.score == 0.7


def test_who_rewrites_results_faster_than_it_is_written_does_not_keep_it_from_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each moves to the end of what is still to be written."""
    engine = bench.start()
    names = [f"r{number}" for number in range(8)]
    for name in names:
        leave(bench.sessions, name, session(name, final_result={"success": True, "score": 0, "notes": "x" * 10_000}))
    rest(bench)
    monkeypatch.setattr(transcript, "SLICE", 5_000)
    work = Transcript(engine.books.journal, engine.store)
    for step in range(60):
        if work.done:
            break
        rows = list(engine.store.known(names).executions.values())
        for row in rows[:2]:
            engine.books.reconciler.store([Change(row.execution_id, execution=row._replace(score=step / 60))], step)
        work.step()
    assert work.done


def test_a_journal_that_is_spoilt_while_it_is_made_anew_for_its_size_is_known_to_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = three(bench)
    monkeypatch.setattr(transcript, "SLICE", 1)
    monkeypatch.setattr(rewriting, "OVERGROWN", 1)
    monkeypatch.setattr(rewriting, "TIMES", 0)
    bench.until(lambda: engine.books._rewriting._work is not None, "it is begun")
    journal_of(bench).unlink()
    bench.until(lambda: engine.store.meta("journal_size") == LOST, "that it is lost is noted")
    monkeypatch.setattr(rewriting, "TIMES", 2)
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    all_stand(bench)


def test_a_journal_that_is_spoilt_is_not_compacted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compacted, it would pass for whole, and what it lacks would be in no journal any more."""
    engine = three(bench)
    real = Transcript.__init__
    for name in ("p1", "p2"):
        leave(bench.sessions, name, session(name))
    rest(bench)
    failed = list[str]()

    def full(work: Transcript, *given: Any) -> None:
        if not failed:
            failed.append("once")
            raise OSError(28, "No space left on device")
        real(work, *given)

    monkeypatch.setattr(Transcript, "__init__", full)
    os.truncate(journal_of(bench), 0)
    bench.until(lambda: failed, "there is no room to make it anew")
    assert engine.patrol.remove(["p1", "p2"], dry=False).executions
    engine.books.compact(removed=2)
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    all_stand(bench)


def test_what_is_stored_while_the_journal_is_spoilt_is_on_the_disk_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the next record finds that it is, before anybody looks, and while it is made anew for its size."""
    engine = three(bench)
    monkeypatch.setattr(Transcript, "step", lambda _: None)
    monkeypatch.setattr(rewriting, "OVERGROWN", 1)
    monkeypatch.setattr(rewriting, "TIMES", 0)
    bench.until(lambda: engine.books._rewriting._work is not None, "it is begun")
    monkeypatch.setattr(rewriting, "TIMES", 2)
    os.truncate(journal_of(bench), 10)
    engine.patrol.decide(Decision("asked", "queued", engine.clock.now(), "asked for"))
    bench.until(lambda: engine.store.db.pragma("synchronous") == rewriting.FULL, "each is synced")
    assert engine.store.meta("journal_size") == LOST


def test_who_stores_faster_than_it_is_compacted_does_not_keep_it_from_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = bench.start()
    leave(bench.sessions, "a", session("a"))
    rest(bench)
    monkeypatch.setattr(compaction, "SLICE", 5_000)
    work, row = Compaction(engine.books.journal, engine.store), bench.row("a")
    assert row is not None
    for step in range(60):
        if work.done:
            break
        row = row._replace(error_message=f"{step}" * 10_000)
        engine.books.reconciler.store([Change("a", execution=row, archive=row)], step)
        work.step()
    assert work.done


def test_who_is_removed_while_it_is_compacted_does_not_come_back(bench: Bench) -> None:
    """His result was copied before he went."""
    engine = bench.start()
    for name in ("a", "b", "stays"):
        leave(bench.sessions, name, session(name))
    rest(bench)
    work = Compaction(engine.books.journal, engine.store)
    work._slice = 1
    work.step()
    assert engine.patrol.remove(["a", "b"], dry=False).executions
    while not work.done:
        work.step()
    lose_database(bench)
    bench.start()
    assert [bench.status(name) for name in ("a", "b", "stays")] == [None, None, "Completed"]


def test_a_result_of_300_levels_is_compacted_as_it_stands(bench: Bench) -> None:
    """No record of so many is made twice: what writes them stops at 254."""
    engine = bench.start()
    deep = json.loads("[" * 300 + "]" * 300)
    leave(bench.sessions, "deep", session("deep", final_result={"success": True, "score": 0.75, "data": deep}))
    leave(bench.sessions, "goes", session("goes"))
    rest(bench)
    before = journal_of(bench).stat().st_size
    assert engine.patrol.remove(["goes"], dry=False).executions
    engine.books.compact(removed=1)
    bench.until(lambda: journal_of(bench).stat().st_size < before, "it is compacted")
    (bench.sessions / "session_deep.json").unlink()
    lose_database(bench)
    bench.start()
    row = bench.row("deep")
    assert row is not None
    assert row.score == 0.75
    assert row.result_data is not None
    assert "[" * 300 in row.result_data


def test_what_is_written_of_a_new_journal_is_let_go_of_where_there_is_no_room(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the room that is missing: without it, storing would fail for ever."""
    engine = three(bench)
    new = Path(f"{journal_of(bench)}.new")
    monkeypatch.setattr(Transcript, "step", lambda _: None)
    journal_of(bench).unlink()
    bench.until(new.exists, "it is begun")
    real = Store.note

    def note(store: Store, *given: Any, **named: Any) -> None:
        if new.exists():
            raise apsw.FullError("database or disk is full")
        real(store, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "note", note)
        patch.setattr(Store, "reconcile", note)
        leave(bench.sessions, "later", session("later"))
        bench.until(lambda: engine.health().stale, "storing fails")
        patch.undo()
        patch.setattr(Store, "note", note)
        bench.until(lambda: bench.status("later") == "Completed", "there is room again")


def test_what_a_rewriting_that_was_killed_left_is_removed(bench: Bench) -> None:
    three(bench)
    bench.close()
    new = Path(f"{journal_of(bench)}.new")
    new.write_text("half of it")
    bench.start()
    assert not new.exists()


def test_a_journal_that_cannot_be_compacted_keeps_nobody_from_being_removed(bench: Bench) -> None:
    engine = three(bench)
    Path(f"{journal_of(bench)}.new").mkdir()
    assert engine.patrol.remove(["gone", "stands"], dry=False).executions
    engine.books.compact(removed=2)
    assert engine.store.meta("removed") == 2, "the next one does it"


def test_a_disk_that_fails_at_the_very_end_of_a_compaction_ends_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new journal stands by then; only the note of it is missing."""
    engine = three(bench)
    real, failed = Store.note, list[str]()

    def note(store: Store, key: str, value: int | str, *, durably: bool = False) -> None:
        if key == "removed" and engine.books.journal.size < before and not failed:
            failed.append(key)
            raise apsw.FullError("database or disk is full")
        real(store, key, value, durably=durably)

    monkeypatch.setattr(Store, "note", note)
    before = engine.books.journal.size
    assert engine.patrol.remove(["gone", "stands"], dry=False).executions
    before = engine.books.journal.size
    engine.books.compact(removed=2)
    bench.until(lambda: failed, "the last note fails")
    bench.until(lambda: not engine.health().reasons, "it works again")
    assert engine.books.journal.size < before


def in_the_journal_alone(bench: Bench, execution_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result as that of `stands`, which the database refuses."""

    def full(*_: object, **__: object) -> None:
        raise apsw.FullError("database or disk is full")

    row = bench.row("stands")
    assert bench.engine is not None
    assert row is not None
    new = row._replace(execution_id=execution_id)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "reconcile", full)
        with pytest.raises(StoringError):
            bench.engine.books.reconciler.store([Change(execution_id, execution=new, archive=new)], 0)


def test_what_the_journal_alone_has_is_not_compacted_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was refused went on by himself: nobody else has noticed."""
    engine = three(bench)
    in_the_journal_alone(bench, "alone", monkeypatch)
    engine.books._rewriting._work = Compaction(engine.books.journal, engine.store)
    while engine.books._rewriting._work is not None:
        engine.books.tidy(idle=False)
    assert bench.status("alone") == "Completed"
    all_stand(bench, "alone")


def test_a_journal_that_is_cut_while_it_is_read_hangs_nobody(bench: Bench) -> None:
    engine = three(bench)
    os.truncate(journal_of(bench), 0)
    with pytest.raises(OSError, match="shorter"):
        engine.books.journal.lines(0, 1 << 20)


def test_a_line_that_was_damaged_once_does_not_spoil_what_was_made_since(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(bench)
    bench.close()
    with journal_of(bench).open("a") as file:
        file.write("no record\n")
    engine = bench.start()
    bench.until(lambda: not engine.health().reasons, "it is made anew")
    in_the_journal_alone(bench, "alone", monkeypatch)
    engine.books.reconciler.catch_up()
    assert bench.status("alone") == "Completed"
    assert not engine.health().reasons
