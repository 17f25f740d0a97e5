"""What a burst makes of the database is the same whoever reads it, whatever becomes of the process that reads ahead."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from reevd import background, patrol, readahead
from reevd.background import NICE
from reevd.engine import Engine
from reevd.model import Decision
from reevd.readahead import ReadAhead
from tests.harness import children, leave, session, wait_until
from tests.integration.conftest import Bench

RUNNING: dict[str, object] = {"end_time": None, "final_result": None}
SECONDS = 90  # who reads ahead is behind all others, and beside other tests may wait long for a turn
CALL = {"event_type": "ToolInput", "tool_input": {"tool_name": "transfer", "tool_args": {"amount": 1}}}
DONE = {"event_type": "ToolOutput", "tool_output": {"success": True, "results": {"signature": "S"}}}
FAILED = {"success": False, "score": 0.25, "status": "Failed", "error": {"kind": "transaction", "message": "no funds"}}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patrol, "BATCH", 8)
    monkeypatch.setattr(patrol, "BACKLOG", 16)
    monkeypatch.setattr(patrol, "PILE", 8)
    monkeypatch.setattr(background, "FULL", math.inf)  # however much runs beside


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many executions each request was about. A burst of a test is over before a process has started: it waits."""
    sizes: list[int] = []
    ask, room = ReadAhead.ask, ReadAhead.room

    def noted(ahead: ReadAhead, request: Any) -> bool:
        sizes.append(len(request.execution_ids))
        return ask(ahead, request)

    def waited(ahead: ReadAhead, now: int) -> bool:
        if room(ahead, now):
            return True
        if ahead._scout is not None and not ahead._scout._begun:
            select.select([ahead._scout._end], [], [], 10)
        return room(ahead, now)

    monkeypatch.setattr(ReadAhead, "ask", noted)
    monkeypatch.setattr(ReadAhead, "room", waited)
    return sizes


def telemetry(folder: Path, execution_id: str, lines: list[object], form: str = "enhanced_otel") -> None:
    (folder / f"{form}_{execution_id}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def mixed(folder: Path, count: int) -> None:
    """Of all kinds, telemetry after its session file and before it, half of them in one form and half in the other."""
    for n in range(count):
        name, kind = f"run-{n:04d}", n % 8
        if kind == 1:
            telemetry(folder, name, [CALL, DONE, CALL])
        if kind == 2:
            leave(folder, name, session(name, **RUNNING))
        elif kind == 3:
            (folder / f"session_{name}.json").write_text('{"session_id": "half')
        elif kind == 4:
            (folder / f"session_{name}.json").symlink_to("/etc/passwd")
        elif kind == 5:
            leave(folder, name, session(name, final_result=FAILED))
        elif kind == 6:
            telemetry(folder, name, [CALL, {"event_type": "nonsense"}], "otel")
        else:
            leave(folder, name, session(name))
        if kind == 7:
            telemetry(folder, name, [CALL, DONE], "otel" if n % 16 == 7 else "enhanced_otel")
        if kind == 0 and n % 16 == 0:
            (folder / f"enhanced_otel_{name}.jsonl").symlink_to("/etc/passwd")


def contents(bench: Bench) -> dict[str, list[tuple[Any, ...]]]:
    """All that does not depend on when it was looked at."""
    assert bench.engine is not None
    columns = "execution_id, benchmark_id, agent, status, progress, error_message, result_data, metadata, score, reason"
    columns += ", CASE WHEN started_at IS NULL THEN '' ELSE created_at END, started_at, ended_at"
    columns += ", session_file, otel_file, source_state, tool_calls, locked, warnings"
    queries = {
        "executions": f"SELECT {columns} FROM execution_states ORDER BY execution_id",
        "calls": "SELECT * FROM tool_calls ORDER BY execution_id, seq",
        "files": "SELECT name, size, mark IS NULL FROM files ORDER BY name",
        "problems": "SELECT path, execution_id, kind, message FROM problems ORDER BY path",
    }
    return {name: bench.engine.store.rows(query) for name, query in queries.items()}


def burst(bench: Bench, count: int) -> None:
    for number in range(count):
        leave(bench.sessions, f"run-{number}", session(f"run-{number}"))


def until_known(bench: Bench, count: int) -> None:
    bench.until(lambda: len(contents(bench)["executions"]) == count, "all are there", seconds=SECONDS)


def journaled(bench: Bench) -> set[str]:
    lines = bench.database.with_name(bench.database.name + ".journal").read_bytes().splitlines()
    records = [json.loads(line[9:]) for line in lines]
    return {record["result"]["execution_id"] for record in records if "result" in record}


def until_at_rest(bench: Bench) -> None:
    engine = bench.engine
    assert engine is not None
    torn = f"SELECT count(*) FROM files WHERE mark IS NULL AND name NOT IN ({PROBLEMS})"
    bench.until(lambda: engine.idle and engine.store.rows(torn) == [(0,)], "all is read at rest", seconds=SECONDS)


PROBLEMS = "SELECT path FROM problems"


@pytest.fixture
def two(bench: Bench, tmp_path: Path) -> Iterator[tuple[Bench, Bench]]:
    """One that looks ahead, and one that does not, each with a folder of its own."""
    other = Bench(tmp_path / "other")
    other.sessions.mkdir(parents=True)
    yield bench, other
    other.close()


@pytest.mark.parametrize("while_it_watches", [False, True])
def test_a_burst_ends_as_if_one_process_had_read_it(
    two: tuple[Bench, Bench], asked: list[int], monkeypatch: pytest.MonkeyPatch, *, while_it_watches: bool
) -> None:
    ends = []
    for bench in two:
        if while_it_watches:
            bench.start()
        mixed(bench.sessions, 400)
        if not while_it_watches:
            bench.start(seconds=SECONDS)
        assert bench.engine is not None
        bench.until(lambda b=bench: len(contents(b)["executions"]) == 350, "all are known", seconds=SECONDS)  # type: ignore[misc]
        until_at_rest(bench)
        ends.append((contents(bench), journaled(bench)))
        if bench is two[0]:
            assert sum(asked) > 100, "a good part was looked at ahead"
            monkeypatch.setattr(ReadAhead, "room", lambda _ahead, _now: False)
    (tables, lines), (other_tables, other_lines) = ends
    for name, rows in tables.items():
        assert set(rows) ^ set(other_tables[name]) == set(), name
    assert lines == other_lines


def scouts() -> list[int]:
    return children(os.getpid(), "reevd.scout")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def halt(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize("trouble", [kill, halt])
def test_the_process_that_reads_ahead_may_die_or_hang(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch, trouble: Callable[[int], None]
) -> None:
    monkeypatch.setattr(readahead, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(readahead, "PAUSE", 0)
    engine = bench.start()
    struck: list[int] = []
    burst(bench, 200)

    def all_there() -> bool:
        if asked and len(struck) < 3:
            for pid in set(scouts()) - set(struck):
                trouble(pid)
                struck.append(pid)
        return engine.store.rows("SELECT count(*) FROM execution_states WHERE status = 'Completed'") == [(200,)]

    bench.until(all_there, "all are there", seconds=SECONDS)
    until_at_rest(bench)
    assert struck
    assert journaled(bench) == {f"run-{number}" for number in range(200)}
    bench.close()
    assert not scouts()


def test_where_no_process_can_be_had_one_reads_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    engine = bench.start()
    burst(bench, 100)
    until_known(bench, 100)
    assert engine.patrol._ahead._not_before, "it was tried"


def test_an_answer_that_cannot_be_read_costs_time_alone(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: bytes) -> None:
        raise ValueError("no pickle")

    monkeypatch.setattr("reevd.readahead.pickle.loads", unreadable)
    bench.start()
    burst(bench, 100)
    until_known(bench, 100)
    assert asked


@pytest.mark.parametrize(("what", "other"), [("__version__", "0.0.1"), ("Execution", Decision)])
def test_a_process_of_another_version_is_not_asked(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch, what: str, other: object
) -> None:
    """The package was replaced under the daemon, which goes on as the version that it is."""
    monkeypatch.setattr(f"reevd.first_look.{what}", other)
    bench.start()
    burst(bench, 100)
    until_known(bench, 100)
    assert not asked


def _until_asked(bench: Bench, asked: list[int]) -> None:
    bench.until(lambda: asked and len(bench.engine.patrol._ahead), "it is looked at ahead", seconds=SECONDS)  # type: ignore[union-attr]


def _under_way(engine: Engine) -> list[str]:
    """Which executions are looked at ahead by now."""
    return list(engine.patrol.asked())


def test_what_was_seen_meanwhile_does_not_go_back(bench: Bench, asked: list[int]) -> None:
    """It was looked at ahead, then replaced and shown, and only then would the first look have been stored."""
    engine = bench.start()
    burst(bench, 200)
    _until_asked(bench, asked)
    under_way = _under_way(engine)
    for execution_id in under_way:
        select.select([engine.patrol._ahead._scout._end], [], [], 10)  # type: ignore[union-attr]
        leave(bench.sessions, execution_id, session(execution_id, final_result=FAILED))
        engine.decide(Decision(execution_id, "stopped", engine.clock.now(), "by somebody"))
    scores: set[tuple[float]] = set()

    def seen() -> bool:
        query = "SELECT score FROM execution_states WHERE execution_id IN (SELECT value FROM json_each(?))"
        scores.update(engine.store.rows(query, (json.dumps(under_way),)))
        return len(contents(bench)["executions"]) == 200

    bench.until(seen, "all are there", seconds=SECONDS)
    until_at_rest(bench)
    assert seen()
    assert scores == {(FAILED["score"],)}


def test_news_of_what_is_looked_at_ahead_is_not_swallowed(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine takes a share of the looks, and among them those whose first look it is just handed."""
    monkeypatch.setattr(patrol, "WAITED", -1.0)
    engine = bench.start()
    burst(bench, 200)
    _until_asked(bench, asked)
    select.select([engine.patrol._ahead._scout._end], [], [], 10)  # type: ignore[union-attr]
    engine.patrol.agenda.take_many(0, 1000)
    under_way = _under_way(engine)
    for execution_id in under_way:
        leave(bench.sessions, execution_id, session(execution_id, final_result=FAILED))
    query = "SELECT count(*) FROM execution_states WHERE score = ? AND execution_id IN (SELECT value FROM json_each(?))"
    values = (FAILED["score"], json.dumps(under_way))
    bench.until(
        lambda: engine.store.rows(query, values) == [(len(under_way),)], "all are as they were left", seconds=SECONDS
    )


def test_telemetry_that_was_news_before_is_looked_for_though_only_the_session_file_is_news_since(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads ahead found it, and tells nothing of what has not ended: the engine's look is the first that counts."""
    monkeypatch.setattr(patrol, "WAITED", -1.0)
    engine = bench.start()
    for number in range(100):
        telemetry(bench.sessions, f"run-{number}", [CALL])
        leave(bench.sessions, f"run-{number}", session(f"run-{number}", **RUNNING))
    _until_asked(bench, asked)
    select.select([engine.patrol._ahead._scout._end], [], [], 10)  # type: ignore[union-attr]
    engine.patrol.agenda.take_many(0, 1000)
    under_way = _under_way(engine)
    for execution_id in under_way:
        leave(bench.sessions, execution_id, session(execution_id, **RUNNING))
    engine.step()
    shown = engine.store.rows("SELECT execution_id, otel_file, tool_calls FROM execution_states")
    seen = [row for row in shown if row[0] in under_way]
    assert seen
    assert seen == [(name, f"enhanced_otel_{name}.jsonl", 1) for name, *_ in seen]


def test_what_is_known_is_looked_at_as_ever(bench: Bench, asked: list[int]) -> None:
    engine = bench.start()
    burst(bench, 60)
    until_known(bench, 60)
    asked.clear()
    for number in range(60):
        leave(bench.sessions, f"run-{number}", session(f"run-{number}", final_result=FAILED))
    query = "SELECT count(*) FROM execution_states WHERE score = ?"
    with capture_logs() as told:
        bench.until(
            lambda: engine.store.rows(query, (FAILED["score"],)) == [(60,)],
            "all are as they were left",
            seconds=SECONDS,
        )
    assert asked
    assert not [each for each in told if each["log_level"] == "error"], "nothing had to be stored twice"


def remove(path: Path) -> None:
    path.unlink()


def refuse(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize(("change", "problems"), [(remove, 0), (refuse, 1)])
def test_what_the_engine_has_looked_at_meanwhile_is_newer(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], problems: int
) -> None:
    """Its look came after the one that is under way, and nothing of it was stored that would tell."""
    monkeypatch.setattr(patrol, "WAITED", -1.0)
    engine = bench.start()
    burst(bench, 38)
    _until_asked(bench, asked)
    under_way = engine.patrol._ahead._asked
    end, size = under_way[0].of._end, 8 * len(under_way)
    assert size > 8
    wait_until(lambda: len(end.recv(size, socket.MSG_PEEK)) == size, "all of them are read")
    execution_id = under_way[-1].execution_ids[0]
    change(bench.sessions / f"session_{execution_id}.json")
    engine.patrol.look(execution_id)
    assert len(bench.problems()) == problems
    bench.until(lambda: engine.idle, "all is looked at", seconds=SECONDS)
    assert engine.patrol._ahead._count
    assert not engine.store.known([execution_id]).executions
    assert len(bench.problems()) == problems


def test_trouble_with_telemetry_that_is_gone_is_over(bench: Bench, asked: list[int]) -> None:
    bench.start()
    path = bench.sessions / "enhanced_otel_run-0.jsonl"
    path.symlink_to("/etc/passwd")
    bench.until(bench.problems, "it is shown")
    path.unlink()
    burst(bench, 40)
    until_known(bench, 40)
    assert asked
    assert not bench.problems()


def test_nobody_answers_for_whoever_went_before(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes the place of one that died is asked anew."""
    monkeypatch.setattr(readahead, "PAUSE", 0)
    engine = bench.start()
    burst(bench, 100)
    _until_asked(bench, asked)
    ahead = engine.patrol._ahead
    under_way, first = len(ahead._asked), ahead._scout
    assert first is not None
    first._process.kill()
    first._process.wait()
    failed: list[Exception] = []
    fail = ReadAhead._fail
    monkeypatch.setattr(ReadAhead, "_fail", lambda of, error, now: (failed.append(error), fail(of, error, now)))
    if select.select([first._end], [], [], 0)[0]:  # what it had answered before
        with suppress(ConnectionResetError):  # told once, of what it had not read, and before its answers
            first._end.recv(64)
        first._end.recv(64)
    assert under_way > 1
    ahead.answer(engine.clock.now())
    assert ahead.room(engine.clock.now() + 1)
    for _ in range(under_way - 1):
        assert not ahead.answer(engine.clock.now())[1].executions
    assert len(failed) == 1
    engine.rescan()
    until_known(bench, 100)


def test_what_was_removed_meanwhile_does_not_come_back(bench: Bench, asked: list[int]) -> None:
    engine = bench.start()
    burst(bench, 40)
    until_known(bench, 40)
    until_at_rest(bench)
    asked.clear()
    engine.patrol.agenda.add([f"run-{number}" for number in range(40)])
    _until_asked(bench, asked)
    removed = engine.patrol.remove([f"run-{number}" for number in range(40)], dry=False)
    assert len(removed.executions) == 40
    until_at_rest(bench)
    assert not contents(bench)["executions"]


def test_a_burst_is_worked_through_behind_whoever_asks(bench: Bench, asked: list[int]) -> None:
    """And a single file is not: whoever waits for that waits for us."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    engine = bench.start()
    seen: dict[int, set[int]] = {}

    def note(ids: list[str]) -> None:
        for pid in (0, *(scouts() if asked else ())):  # 0: the thread that works
            seen.setdefault(pid, set()).add(os.getpriority(os.PRIO_PROCESS, pid))

    engine.patrol.changed = note
    burst(bench, 100)
    until_known(bench, 100)
    assert NICE in seen.pop(0)
    assert list(seen.values()) == [{NICE}], "the process that reads ahead"
    until_at_rest(bench)
    assert os.getpriority(os.PRIO_PROCESS, 0) == usual, "nobody else whom it starts inherits that"
    seen.clear()
    leave(bench.sessions, "single", session("single"))
    until_known(bench, 101)
    assert seen[0] == {usual}


@pytest.mark.parametrize(
    ("at_first", "settings"), [(True, {"PATIENCE": -1, "SHARE": math.inf}), (False, {"FULL": -1})], ids=["slow", "full"]
)
def test_whose_turn_hardly_comes_takes_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, settings: dict[str, float], *, at_first: bool
) -> None:
    """A host may be so full that nothing is left for the patient."""
    for name, value in settings.items():
        monkeypatch.setattr(background, name, value)
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    engine = bench.start()
    seen: list[int] = []
    engine.patrol.changed = lambda _ids: seen.append(os.getpriority(os.PRIO_PROCESS, 0))
    burst(bench, 100)
    until_known(bench, 100)
    assert seen[0] == (NICE if at_first else usual)
    assert set(seen[1:]) == {usual}


def test_a_host_may_hide_how_full_it_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden() -> tuple[float, float, float]:
        raise OSError("Load averages are unobtainable")

    monkeypatch.setattr(os, "getloadavg", hidden)
    bench.start()
    burst(bench, 100)
    until_known(bench, 100)


def test_the_process_ends_when_there_is_nothing_to_do(
    bench: Bench, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readahead, "IDLE", 100_000)
    bench.start()
    burst(bench, 100)
    until_known(bench, 100)
    assert asked
    bench.until(lambda: not scouts(), "it has ended")


def test_it_ends_with_whoever_asks_it(bench: Bench, asked: list[int]) -> None:
    """Also where that is killed: its end of the socket is closed by the kernel, and by nobody else."""
    engine = bench.start()
    burst(bench, 100)
    until_known(bench, 100)
    assert asked
    (scout,) = scouts()
    held = engine.patrol._ahead._scout
    assert held is not None
    held._end.close()
    wait_until(lambda: held._process.poll() is not None, "it has ended")
    assert held._process.returncode == 0, scout
