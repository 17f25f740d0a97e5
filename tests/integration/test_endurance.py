"""Files that are rare, large or hostile in number: each costs what it holds, and none holds up the others."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import apsw
import pytest

from reevd import look, lookout, otel_file, reader, session_file
from reevd.bounds import Bounds
from reevd.derive import Limits
from reevd.model import Decision
from reevd.otel_file import Telemetry
from reevd.reconciler import StoringError
from reevd.store import Store
from reevd.times import SECOND
from tests.harness import leave, session
from tests.integration.conftest import Bench

RUNNING: dict[str, object] = {"end_time": None, "final_result": None}


@pytest.mark.timeout(20)
def test_calls_of_the_older_form_that_wait_cost_no_search() -> None:
    """A line for each of 200,000 calls that are never answered: searched one by one, that takes an hour."""
    telemetry = Telemetry()
    telemetry.feed(b'{"tool_name":"a"}\n' * 200_000)
    telemetry.feed(b'{"tool_name":"a","execution_time_ms":5,"status":"success"}\n')
    assert (len(telemetry.calls), telemetry.calls[-1].status) == (200_000, "success")
    telemetry.feed(b'{"event_type":"ToolOutput","tool_output":{"success":true}}\n')
    assert [call.status for call in telemetry.calls[-3:]] == ["open", "success", "success"]


def test_calls_without_end_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel_file, "MAX_CALLS", 10)
    telemetry = Telemetry()
    telemetry.feed(b'{"event_type":"ToolInput","tool_input":{"tool_name":"a"}}\n' * 25)
    assert (len(telemetry.calls), telemetry.bad_lines) == (10, 15)
    assert telemetry.first_bad is not None
    assert "no more are kept" in telemetry.first_bad.why


def test_a_result_with_calls_without_end_is_kept_without_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_file, "MAX_CALLS", 10)
    calls = [{"tool_name": f"tool-{number}"} for number in range(25)]
    final = {"success": True, "score": 1.0, "status": "Succeeded", "tools": calls}
    leave(bench.sessions, "long", session("long", final_result=final))
    engine = bench.start()
    row = bench.row("long")
    assert row is not None
    assert (row.status, row.score, row.tool_calls) == ("Completed", 1.0, 10)
    assert engine.store.rows("SELECT max(tool_name) FROM tool_calls") == [("tool-9",)]
    assert "has 25 entries: the first 10 are kept" in row.warnings


def test_many_long_telemetries_are_each_read_to_the_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are remembered, each longer than what is read at once: none begins again for another's sake."""
    monkeypatch.setattr(reader, "REMEMBERED", 6)
    monkeypatch.setattr(look, "MOST_BYTES", 3 << 20)
    bench.bounds = Bounds(settle_ns=1_000_000, budget=2 << 20)
    line = json.dumps({"event_type": "ToolInput", "tool_input": {"tool_name": "long", "tool_args": {"x": "y" * 900}}})
    for number in range(12):
        (bench.sessions / f"enhanced_otel_run-{number}.jsonl").write_text((line + "\n") * 5_000)
    engine = bench.start()
    query = "SELECT count(*) FROM execution_states WHERE tool_calls = 5000"
    bench.until(lambda: engine.store.rows(query) == [(12,)], "all calls of all are known")


def test_a_batch_of_large_files_is_taken_in_parts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of them, news has its turn, and memory is given back."""
    monkeypatch.setattr(look, "MOST_BYTES", 300_000)
    engine = bench.start()
    sizes: list[int] = []
    engine.patrol.changed = lambda ids: sizes.append(len(ids))
    for number in range(10):
        leave(bench.sessions, f"large-{number}", session(f"large-{number}", metadata={"x": "y" * 200_000}))
    bench.until(lambda: sum(sizes) >= 10, "all are stored")
    assert max(sizes) <= 2


@pytest.mark.parametrize(
    ("shape", "content"),
    [
        ("session_{}.json", bytes(200_000)),
        ("session_{}.json", b"[" + b"0," * 100_000),
        ("session_{}.json", json.dumps(session("x", metadata={"x": "y" * 200_000})).encode()),
        ("enhanced_otel_{}.jsonl", bytes(200_000)),
    ],
)
def test_whatever_was_read_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch, shape: str, content: bytes) -> None:
    """A look at many ends once so much was read, also where nothing came of it."""
    monkeypatch.setattr(look, "MOST_BYTES", 300_000)
    for number in range(10):
        (bench.sessions / shape.format(f"run-{number}")).write_bytes(content)
    engine, ids, now = bench.start(), [f"run-{number}" for number in range(10)], time.time_ns()
    bench.until(lambda: engine.idle, "it has read them")
    anew = reader.Reader(engine.patrol._folder, Bounds())
    for _ in range(2):
        left = [
            look.look(anew, ids[at:], now // 1000, now + at, limits=Limits(), may_judge=False).left for at in range(9)
        ]
        assert left == [8, 7, 6, 5, 4, 3, 2, 1, 0]


def test_what_is_read_once_more_counts_once_more(bench: Bench) -> None:
    """The telemetry of what has ended is read again as a whole."""
    line, engine = '{"event_type":"ToolInput","tool_input":{"tool_name":"a","tool_args":{}}}\n', bench.start()
    (bench.sessions / "enhanced_otel_x.jsonl").write_text(line * 3000)
    anew, size = reader.Reader(engine.patrol._folder, Bounds()), len(line) * 3000
    for wanted in (size, 2 * size):
        now = time.time_ns() + 10 * 1_000_000_000
        look.look(anew, ["x"], now // 1000, now, limits=Limits(), may_judge=False)
        assert wanted <= anew.taken < wanted + 10_000
        leave(bench.sessions, "x", session("x"))


def test_what_has_ended_and_is_at_rest_is_not_held(bench: Bench) -> None:
    bench.bounds = Bounds(settle_ns=1_000_000)
    engine = bench.start()
    for number in range(5):
        leave(bench.sessions, f"done-{number}", session(f"done-{number}"))
    leave(bench.sessions, "running", session("running", **RUNNING))
    query = "SELECT count(*) FROM files WHERE mark IS NOT NULL"
    bench.until(lambda: engine.store.rows(query) == [(6,)], "all are at rest")
    assert list(engine.patrol._reader._memory) == ["running"]


def test_a_late_result_outlives_file_and_database_however_many_came_between(bench: Bench) -> None:
    """Its verdict stands in an earlier part of the journal than its result does."""
    bench.limits, bench.bounds = Limits(silence=0.2), Bounds(settle_ns=1_000_000)
    leave(bench.sessions, "late", session("late", **RUNNING))
    engine = bench.start()
    bench.until(lambda: bench.status("late") == "Timeout", "it is given up")
    for number in range(1_050):
        leave(bench.sessions, f"between-{number}", session(f"between-{number}"))
    query = "SELECT count(*) FROM files WHERE mark IS NOT NULL"
    bench.until(lambda: engine.store.rows(query)[0][0] >= 1_050, "what came between is in the journal")
    path = leave(bench.sessions, "late", session("late"))
    bench.until(lambda: engine.store.rows(f"{query} AND name = ?", (path.name,)) == [(1,)], "its result is too")
    path.unlink()
    bench.close()
    for name in os.listdir(bench.database.parent):
        if name in (bench.database.name, bench.database.name + "-wal", bench.database.name + "-shm"):
            (bench.database.parent / name).unlink()
    bench.start()
    assert bench.status("late") == "Completed"


def test_a_decision_that_was_refused_does_not_come_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(bench.sessions, "a", session("a", **RUNNING))
    engine = bench.start()
    bench.until(lambda: bench.status("a") == "Running", "it runs")

    def full(*_: object, **__: object) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "reconcile", full)
        for name, kind in (("a", "stopped"), ("ghost", "queued")):
            with pytest.raises(StoringError):
                engine.decide(Decision(name, kind, 1_790_000_000 * SECOND, f"{kind} by a user", "001-x", "b"))  # type: ignore[arg-type]
    bench.close()
    bench.start()
    assert bench.status("a") == "Running"
    assert bench.status("ghost") is None


def test_an_entry_that_cannot_be_looked_at_is_no_reason_to_look_at_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's mount point, say, or one whose server has gone: lstat fails."""
    leave(bench.sessions, "a", session("a"))
    broken = bench.sessions / "mount"
    broken.mkdir()
    scandir = os.scandir

    class Entry:
        name = broken.name

        def stat(self, **_: object) -> os.stat_result:
            raise PermissionError(13, "Permission denied")

    class Entries:
        def __init__(self, folder: int) -> None:
            self._entries = scandir(folder)

        def __enter__(self) -> Entries:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> object:
            return (Entry() if entry.name == broken.name else entry for entry in self._entries)

    monkeypatch.setattr("reevd.files.os.scandir", Entries)
    engine = bench.start()
    bench.until(lambda: engine.ready, "the folder is scanned")
    assert bench.status("a") == "Completed"


def test_calls_are_the_files_also_where_their_number_stays(bench: Bench) -> None:
    """The session file tells of one call, the telemetry told of another one and then of none."""
    bench.bounds = Bounds(settle_ns=1_000_000)
    tools = [{"tool_name": "of-the-session", "status": "success"}]
    final = {"success": True, "score": 1.0, "status": "Succeeded", "data": {}, "tools": tools}
    otel = bench.sessions / "enhanced_otel_a.jsonl"
    otel.write_text('{"event_type":"ToolInput","tool_input":{"tool_name":"of-the-telemetry"}}\n')
    leave(bench.sessions, "a", session("a", final_result=final))
    engine = bench.start()

    def names() -> list[str]:
        return [row[0] for row in engine.store.rows("SELECT tool_name FROM tool_calls")]

    bench.until(lambda: names() == ["of-the-telemetry"], "the telemetry's call is known")
    otel.write_text('{"event_type":"StepComplete"}\n')
    bench.until(lambda: names() == ["of-the-session"], "the session file's call is known")


def test_a_folder_that_is_swapped_is_not_made_anew_meanwhile(bench: Bench, tmp_path: Path) -> None:
    engine = bench.start()
    other = tmp_path / "other"
    other.mkdir()
    leave(other, "there", session("there"))
    bench.sessions.rename(tmp_path / "old")
    bench.until(lambda: not engine._lookout._in_place, "it is missed")
    assert not bench.sessions.exists()
    other.rename(bench.sessions)
    bench.until(lambda: bench.status("there") == "Completed", "the other one is read")


def test_a_folder_that_stays_away_is_made_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "MISSING_TICKS", 1)
    bench.start()
    bench.sessions.rmdir()
    bench.until(bench.sessions.exists, "it is made anew")
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "and watched")


def test_who_saw_it_ended_never_sees_it_run_again(bench: Bench) -> None:
    """Also where the result was read but once, before its file came to rest."""
    bench.bounds = Bounds(settle_ns=3_600_000_000_000)
    bench.start()
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "seen")
    leave(bench.sessions, "a", session("a", **RUNNING))
    bench.until(lambda: (row := bench.row("a")) is not None and row.source_state == "changed", "the stub is read")
    assert bench.status("a") == "Completed"


def test_a_file_that_is_touched_is_not_written_to_the_journal_again(bench: Bench) -> None:
    engine = bench.start()
    leave(bench.sessions, "a", session("a"))
    marks = "SELECT mark FROM files WHERE mark IS NOT NULL"
    bench.until(lambda: engine.store.rows(marks), "at rest")
    journal = Path(f"{bench.database}.journal")
    size = journal.stat().st_size
    assert size > 0
    for mode in (0o600, 0o644):
        stood = engine.store.rows(marks)
        (bench.sessions / "session_a.json").chmod(mode)
        bench.until(lambda stood=stood: engine.store.rows(marks) not in ([], stood), "at rest again")  # type: ignore[misc]
    assert journal.stat().st_size == size
