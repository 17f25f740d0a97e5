"""Whatever keeps a file from being read or stored: its run ends in time, what is decided of it lasts, others go on."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from reevd import fingerprint, look, reader
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.lock import held
from reevd.model import Decision
from reevd.reading import Reading
from reevd.session_file import Session
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.hostile import goes_on
from tests.integration.populated import rest
from tests.integration.test_hostile_host import leased, no_descriptors

RUNNING: dict[str, object] = {"end_time": None, "final_result": None}
PAST_2262 = 2**63 + 12_345
F_OFD_SETLK = 37


def unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = reader.parse_session

    def fails(raw: bytes) -> Session:
        if b"poison" in raw:
            raise ZeroDivisionError("a defect")
        return parse(raw)

    monkeypatch.setattr(reader, "parse_session", fails)


def unweighed(monkeypatch: pytest.MonkeyPatch, kinds: type = Session) -> None:
    """`kinds`: of what the session file may be read as, what cannot be weighed."""
    weigh = look.weigh

    def fails(execution_id: str, reading: Reading, *rest: Any, **named: Any) -> Any:
        if execution_id == "x" and isinstance(reading.session, kinds):
            raise ZeroDivisionError("a defect")
        return weigh(execution_id, reading, *rest, **named)

    monkeypatch.setattr(look, "weigh", fails)


def decisions(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.store.rows("SELECT execution_id, kind FROM decisions")


@pytest.mark.parametrize("defect", [unparsed, unweighed])
def test_a_defect_of_ours_leaves_no_run_stuck(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, defect: Callable[[pytest.MonkeyPatch], None]
) -> None:
    bench.limits = Limits(silence=0.5)
    bench.start()
    leave(bench.sessions, "x", session("x", **RUNNING))
    bench.until(lambda: bench.status("x") == "Running", "it runs")
    defect(monkeypatch)
    leave(bench.sessions, "x", session("x", agent_type="poison", **RUNNING))
    bench.until(lambda: bench.status("x") == "Timeout", "it is given up in time")
    bench.until(lambda: bench.problems() == {"session_x.json": "internal"}, "it is told")
    goes_on(bench)
    monkeypatch.undo()
    leave(bench.sessions, "x", session("x"))
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "its result wins")


def test_a_new_run_that_a_defect_of_ours_hides_is_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    unparsed(monkeypatch)
    bench.start()
    leave(bench.sessions, "x", session("x", agent_type="poison"))
    bench.until(lambda: bench.status("x") == "Running" and bench.problems(), "it is known")
    row = bench.row("x")
    assert row is not None
    assert row.deadline_at


def lease(bench: Bench, _: pytest.MonkeyPatch) -> AbstractContextManager[object]:
    return leased(bench.sessions / "session_x.json")


def descriptors(_: Bench, __: pytest.MonkeyPatch) -> AbstractContextManager[object]:
    return no_descriptors()


def defect(_: Bench, monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[object]:
    unweighed(monkeypatch)
    return ExitStack()


@pytest.mark.parametrize("hindrance", [lease, descriptors, defect])
def test_a_stop_lasts_though_the_file_cannot_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, hindrance: Callable[..., AbstractContextManager[object]]
) -> None:
    engine = bench.start()
    leave(bench.sessions, "x", session("x", **RUNNING))
    bench.until(lambda: bench.status("x") == "Running", "it runs")
    with hindrance(bench, monkeypatch):
        engine.decide(Decision("x", "stopped", engine.clock.now(), "by somebody"))
        assert decisions(engine) == [("x", "stopped")]
        assert bench.status("x") == "Stopped"
    assert b'"stopped"' in Path(f"{bench.database}.journal").read_bytes()


def test_a_decision_lasts_whatever_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.start()
    unweighed(monkeypatch, object)
    engine.decide(Decision("x", "queued", engine.clock.now(), "by somebody"))
    assert decisions(engine) == [("x", "queued")]
    monkeypatch.undo()
    bench.close()
    bench.start()
    bench.until(lambda: bench.status("x") == "Queued", "it is known")


def test_a_lease_that_is_never_given_up_leaves_no_run_stuck(bench: Bench) -> None:
    bench.limits = Limits(silence=0.5)
    bench.start()
    leave(bench.sessions, "x", session("x", **RUNNING))
    bench.until(lambda: bench.status("x") == "Running", "it runs")
    with leased(bench.sessions / "session_x.json"):
        bench.until(lambda: bench.status("x") == "Timeout", "it is given up in time")
    bench.until(lambda: bench.status("x") == "Completed", "the result that it kept wins")


def far_in_the_future(folder: Path, name: str) -> None:
    leave(folder, name, session(name))
    path = folder / f"session_{name}.json"
    os.utime(path, ns=(PAST_2262, PAST_2262))
    if path.stat().st_mtime_ns < 2**63:
        pytest.skip("this file system knows no such times")


def test_a_time_that_sqlite_cannot_hold_is_a_time_like_others(bench: Bench) -> None:
    far_in_the_future(bench.sessions, "x")
    bench.start()
    bench.until(lambda: bench.status("x") == "Completed" and not bench.engine.store.unsettled(), "it is read")  # type: ignore[union-attr]
    bench.close()
    engine = bench.start()
    bench.until(lambda: engine.idle, "it is at rest")
    assert not engine.patrol._reader.taken, "it is known by it"
    os.utime(bench.sessions / "session_x.json", ns=(PAST_2262 + 1, PAST_2262 + 1))
    bench.until(lambda: engine.patrol._reader.taken, "a change of it is seen")


def test_what_cannot_be_stored_is_told_and_the_others_are_stored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "signed", int)
    far_in_the_future(bench.sessions, "x")
    for number in range(5):
        leave(bench.sessions, f"run-{number}", session(f"run-{number}"))
    bench.start()
    for number in range(5):
        assert bench.status(f"run-{number}") == "Completed"
    bench.until(lambda: bench.problems() == {"session_x.json": "internal"}, "it is told")
    goes_on(bench)


def test_the_name_of_a_tool_may_be_anything(bench: Bench) -> None:
    bench.start()
    final = {"success": True, "score": 1.0, "tools": [{"tool_name": "deep"}, {"tool_name": 5}, {"tool_id": "a"}]}
    text = json.dumps(session("x", final_result=final)).replace('"deep"', "[" * 1000 + "]" * 1000)
    (bench.sessions / "session_x.json").write_text(text)
    bench.until(lambda: bench.status("x") == "Completed", "it is read")
    assert bench.engine is not None
    names = [name for (name,) in bench.engine.store.rows("SELECT tool_name FROM tool_calls ORDER BY seq")]
    assert names[1:] == ["5", "a"]
    assert not bench.problems()


def locked(descriptor: int, kind: int) -> None:
    fcntl.fcntl(descriptor, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))


def test_a_readers_lock_is_no_runners(tmp_path: Path) -> None:
    path = tmp_path / "telemetry"
    path.touch()
    asking, reading, writing = (os.open(path, how) for how in (os.O_RDONLY, os.O_RDONLY, os.O_RDWR))
    try:
        locked(reading, fcntl.F_RDLCK)
        assert not held(asking)
        locked(reading, fcntl.F_UNLCK)
        locked(writing, fcntl.F_WRLCK)
        assert held(asking)
    finally:
        for descriptor in (asking, reading, writing):
            os.close(descriptor)


@pytest.mark.parametrize("left", [None, '{"half'])
def test_a_promise_in_the_telemetry_alone_counts(bench: Bench, left: str | None) -> None:
    """The session file of a runner that died may be gone, or cut short."""
    engine = bench.start()
    path = bench.sessions / "enhanced_otel_x.jsonl"
    with path.open("w") as telemetry:
        locked(telemetry.fileno(), fcntl.F_WRLCK)
        telemetry.write('{"event_type":"Prompt","metadata":{"liveness":"ofd-lock"}}\n')
        telemetry.flush()
        if left is not None:
            (bench.sessions / "session_x.json").write_text(left)
        bench.until(lambda: bench.status("x") == "Running", "it runs")
        bench.until(lambda: engine.idle, "all is read")
        assert bench.status("x") == "Running"
    bench.until(lambda: bench.status("x") == "Failed", "its end is noticed")
    row = bench.row("x")
    assert row is not None
    assert "lock" in row.reason


def test_a_result_that_moves_no_stamp_is_found_before_its_run_is_given_up(bench: Bench) -> None:
    """What is stored through a mapping into a page that waits to be written tells nobody."""
    bench.limits = Limits(silence=2)
    bench.start()
    stub, done = json.dumps(session("a", end_time=None, final_result=None)), json.dumps(session("a"))
    path = bench.sessions / "session_a.json"
    path.write_text(stub.ljust(1_000))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[999:1000] = b" "
        rest(bench)
        before = path.stat()
        mapped[: len(done)] = done.encode()
        if path.stat().st_ctime_ns != before.st_ctime_ns:
            pytest.skip("the page was written meanwhile")
        bench.until(lambda: bench.status("a") != "Running", "it ends")
        assert bench.status("a") == "Completed"
