"""Whose turn it is: news before second looks, also where these have begun, and second looks all the same."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest

from reevd import look, reader
from reevd.bounds import Bounds
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.errors import UnreadableError
from reevd.files import Folder, OpenFile
from reevd.reader import Reader
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.test_defences import line, tools

LINE = json.dumps({"event_type": "Prompt", "prompt": "x" * 1_000_000}) + "\n"
CALL = line("last")
F_OFD_SETLK = 37
OLD = [f"old-{number}" for number in range(8)]


@pytest.fixture
def opened(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Session files in the order in which they are opened. Eight executions wait for their second look."""
    names = list[str]()
    real = Folder.open

    def spied(folder: Folder, name: str, writers: Collection[int] = ()) -> OpenFile | None:
        if name.startswith("session_"):
            names.append(name.removeprefix("session_").removesuffix(".json"))
        return real(folder, name, writers)

    bench.bounds = Bounds(settle_ns=400_000_000)  # nobody is so slow that the first look counts
    bench.start()
    for execution_id in OLD:
        leave(bench.sessions, execution_id, session(execution_id))
    bench.until(lambda: all(map(bench.row, OLD)), "all are stored")
    monkeypatch.setattr(Folder, "open", spied)
    return names


def unsettled(bench: Bench) -> int:
    """How many of the eight are still to be read again."""
    assert bench.engine is not None
    return int(bench.engine.store.rows("SELECT count(*) FROM files WHERE mark IS NULL AND name LIKE '%_old-%'")[0][0])


def when_one_is_read(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Calls `do` at each reading of one of the eight."""
    real = OpenFile.read

    def spied(file: OpenFile, offset: int, length: int) -> bytes:
        content = real(file, offset, length)
        if b'"old-' in content:
            do()
        return content

    monkeypatch.setattr(OpenFile, "read", spied)


def test_news_that_come_while_second_looks_are_taken_go_first(
    bench: Bench, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list[str]()

    def news() -> None:
        if not left:
            left.append("new")
            leave(bench.sessions, "new", session("new"))

    when_one_is_read(monkeypatch, news)
    bench.until(lambda: left and not unsettled(bench), "all had their second look")
    assert opened[:2] == ["old-0", "new"]
    assert set(opened[2:]) >= set(OLD), "who was read before somebody more urgent came is read again"


def test_who_gave_way_is_read_again_as_if_nobody_had_looked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session file changed in that moment: what was read then was not stored, and has not settled."""
    bench.bounds = Bounds(settle_ns=400_000_000)
    engine = bench.start()
    path = leave(bench.sessions, "old-0", session("old-0"))
    bench.until(lambda: bench.row("old-0") and not unsettled(bench), "it is at rest")
    real, changed = Folder.open, list[str]()

    def spied(folder: Folder, name: str, writers: Collection[int] = ()) -> OpenFile | None:
        if name == path.name and not changed:
            changed.append(name)
            other = bench.home / "other"
            other.write_text("{")
            other.rename(path)
        return real(folder, name, writers)

    monkeypatch.setattr(Folder, "open", spied)
    engine.patrol.agenda.add_later("old-0", 0)
    bench.until(lambda: bench.problems() == {path.name: "json"}, "what stands there now is told")


def read_to_its_end(bench: Bench, *, runs: int, lines: int) -> None:
    """By the time that it is ready, the call at the end of so many long lines is known, of each run."""
    bench.bounds = Bounds(settle_ns=50_000_000, budget=2 << 20)
    names = OLD[:runs]
    for name in names:
        (bench.sessions / f"enhanced_otel_{name}.jsonl").write_text(lines * LINE + CALL)
        leave(bench.sessions, name, session(name, end_time=None, final_result=None))
    bench.start()
    assert [row and row.tool_calls for row in map(bench.row, names)] == [1] * runs


def test_ready_means_that_telemetry_is_read_to_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read in slices, and a look at many ends before all had theirs: that is no rest."""
    monkeypatch.setattr(look, "MOST_BYTES", 1 << 20)
    read_to_its_end(bench, runs=4, lines=4)


def test_telemetry_that_is_larger_than_what_is_remembered_is_read_to_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One would throw the other out, half read, for ever."""
    monkeypatch.setattr(reader, "REMEMBERED_BYTES", 1)
    read_to_its_end(bench, runs=3, lines=6)


def test_second_looks_are_taken_however_much_news_comes(
    bench: Bench, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def news() -> None:
        leave(bench.sessions, f"new-{len(opened)}", session(f"new-{len(opened)}"))

    when_one_is_read(monkeypatch, news)
    bench.until(lambda: not unsettled(bench), "all had their second look")


def test_calls_that_are_shown_stay_while_their_telemetry_is_read_anew(bench: Bench) -> None:
    """It was touched, and is read again from its start, a slice at a time."""
    bench.bounds = Bounds(settle_ns=50_000_000, budget=2 << 20)
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    telemetry.write_text((LINE + CALL) * 12)
    engine = bench.start()
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "it is known")
    counts, fewest = engine.store.rows, [12]

    def calls() -> bool:
        fewest.append(counts("SELECT count(*) FROM tool_calls")[0][0])
        return engine.idle and not engine.health().pending and not engine.store.unsettled()

    bench.until(calls, "it is read at rest")
    os.utime(telemetry)
    bench.until(lambda: bool(engine.health().pending), "the touch is noticed")
    bench.until(calls, "it is read once more")
    assert min(fewest) == 12


def test_telemetry_that_would_be_thrown_out_half_read_waits_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "REMEMBERED_BYTES", 2 << 20)
    monkeypatch.setattr(reader, "CROWDED", 3 << 19)
    line = json.dumps({"event_type": "ToolInput", "tool_input": {"tool_name": "t", "tool_args": {"x": "a" * 900}}})
    names, size = [f"f{number}" for number in range(12)], 0
    for name in names:
        path = tmp_path / f"enhanced_otel_{name}.jsonl"
        path.write_text((line + "\n") * 1_000)
        size += path.stat().st_size
    stamp = time.time_ns() + 10_000_000_000
    with closing(Folder(str(tmp_path))) as folder:
        reads, left = reader.Reader(folder, Bounds(budget=1 << 17)), deque(names)
        while left:
            name = left.popleft()
            if reads.read(name, {}, stamp // 1000, stamp, ended=True).otel_part.again == 0:
                left.append(name)
    assert reads.taken < 3.5 * size


def test_who_waits_for_his_turn_is_no_crowd(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their session files alone would fill the memory, and nobody would ever begin."""
    monkeypatch.setattr(reader, "REMEMBERED_BYTES", 12 << 20)
    monkeypatch.setattr(reader, "CROWDED", 3 << 20)
    bench.bounds = Bounds(settle_ns=50_000_000, budget=2 << 20)
    for name in OLD:
        (bench.sessions / f"enhanced_otel_{name}.jsonl").write_text(4 * LINE + CALL)
        leave(bench.sessions, name, session(name, end_time=None, final_result=None, notes="x" * 2_000_000))
    bench.start()
    assert [row and row.tool_calls for row in map(bench.row, OLD)] == [1] * len(OLD)


def promises(file: IO[str]) -> None:
    """Holds the lock on it, and says so in its first line, which a call follows."""
    fcntl.fcntl(file.fileno(), F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    file.write(json.dumps({"event_type": "Prompt", "metadata": {"liveness": "ofd-lock"}}) + "\n" + CALL)
    file.flush()


def test_a_runner_that_lives_is_not_given_up_while_its_telemetry_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its promise to hold a lock stands in that telemetry alone."""
    monkeypatch.setattr(reader, "CROWDED", 0)  # nobody begins who has not begun
    bench.limits = Limits(silence=1, total=60)
    engine = bench.start()
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    with telemetry.open("w") as file:
        promises(file)
        bench.until(lambda: (row := bench.row("a")) and row.locked, "its promise is known")
        bench.close()
        file.write(3 * LINE)
        file.flush()
        bench.bounds = Bounds(settle_ns=50_000_000, budget=1 << 20)
        engine = Engine(str(bench.sessions), str(bench.database), limits=bench.limits, bounds=bench.bounds)
        bench.engine = engine
        bench.until(lambda: bench.row("a"), "it is known")
        engine.patrol.judges = True
        until = time.monotonic() + 2
        bench.until(lambda: time.monotonic() > until, "more than the silence has passed")
        row = bench.row("a")
        assert row is not None
        assert (row.status, row.locked, row.tool_calls) == ("Running", 1, 1)


def test_a_promise_of_the_telemetry_before_is_not_held_against_another(bench: Bench) -> None:
    """It is replaced by one of a writer that promises no lock, and holds none."""
    bench.bounds = Bounds(settle_ns=50_000_000, budget=2 << 20)
    bench.start()
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    with telemetry.open("w") as file:
        promises(file)
        bench.until(lambda: (row := bench.row("a")) and row.locked, "its promise is known")
        other = bench.home / "other"
        other.write_text(6 * LINE + CALL)
        other.rename(telemetry)
        bench.until(lambda: (row := bench.row("a")) and not row.locked, "the other is read")
        assert bench.status("a") == "Running"


def test_calls_stay_where_telemetry_cannot_be_read_to_its_end_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.bounds = Bounds(settle_ns=50_000_000, budget=2 << 20, otel_bytes=9_000_000)
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    size = telemetry.write_text(CALL + 6 * LINE + 9 * CALL + LINE)
    bench.start()
    bench.until(lambda: (row := bench.row("a")) and row.tool_calls == 10, "all are known")
    bench.close()
    real, followed = Reader._follow, list[int]()

    def follow(*given: Any, **named: Any) -> Any:
        followed.append(1)
        if len(followed) == 2:
            with telemetry.open("a") as file:
                file.write(3 * LINE)
        return real(*given, **named)

    monkeypatch.setattr(Reader, "_follow", follow)
    with telemetry.open("a") as file:
        file.write("\n")
    bench.start()
    bench.until(lambda: bench.problems() == {telemetry.name: "size"}, "it grew past what is read")
    row = bench.row("a")
    assert row is not None
    assert row.tool_calls == 10
    # What the result tells is the same in a database made anew, which has seen none of these.
    names = ["told0", "told1", "told2"]
    told = {"success": True, "score": 1.0, "tools": [{"tool_name": name, "status": "success"} for name in names]}
    leave(bench.sessions, "a", session("a", final_result=told))
    bench.until(lambda: bench.status("a") == "Completed", "it has ended")
    assert tools(bench, "a") == names
    # Also where a part of it is more than these, and where it can be read again after all.
    told["tools"] = [{"tool_name": "told", "status": "success"}]
    leave(bench.sessions, "a", session("a", final_result=told))
    bench.until(lambda: tools(bench, "a") == ["told"], "the other result is read")
    os.truncate(telemetry, size)
    bench.until(lambda: tools(bench, "a") == 10 * ["last"], "it has shrunk to what is read")


def test_calls_are_whole_as_soon_as_telemetry_can_be_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the result tells stood meanwhile; telemetry that came to rest would be read as a whole anyway."""
    bench.bounds = Bounds(settle_ns=60_000_000_000)
    bench.start()
    telemetry = bench.sessions / "enhanced_otel_a.jsonl"
    telemetry.write_text(line("t0") + line("t1") + line("t2"))
    bench.until(lambda: tools(bench, "a") == ["t0", "t1", "t2"], "they are read")
    real, broken = OpenFile.read, telemetry.stat().st_ino

    def read(file: OpenFile, offset: int, length: int) -> bytes:
        if file.fingerprint.ino == broken:
            raise UnreadableError("io", "reading failed: Input/output error")
        return real(file, offset, length)

    told = {"success": True, "score": 1.0, "tools": [{"tool_name": name, "status": "success"} for name in ("s0", "s1")]}
    with monkeypatch.context() as patch:
        patch.setattr(OpenFile, "read", read)
        leave(bench.sessions, "a", session("a", final_result=told))
        bench.until(lambda: tools(bench, "a") == ["s0", "s1"], "what the result tells is shown")
    with telemetry.open("a") as file:
        file.write(line("t3"))
    bench.until(lambda: (row := bench.row("a")) and row.tool_calls == 4, "it is read again")
    assert tools(bench, "a") == ["t0", "t1", "t2", "t3"]
