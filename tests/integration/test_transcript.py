"""Whatever becomes of the journal, it holds again what must outlive the files and the database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from reevd import rewriting, transcript
from reevd.engine import Engine
from reevd.journal import Journal
from reevd.model import Decision
from reevd.transcript import Transcript
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.test_defences import RUNNING, lose_database, rest


def journal_of(bench: Bench) -> Path:
    return Path(f"{bench.database}.journal")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def write_over(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xff" * path.stat().st_size)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"no journal\n" * 1000)
    other.rename(path)


BREAKS = pytest.mark.parametrize("spoil", [Path.unlink, cut, write_over, replace], ids=lambda each: each.__name__)


def three(bench: Bench) -> Engine:
    """A result whose file is gone, one whose file stands, and a run that was stopped."""
    engine = bench.start()
    for name in ("gone", "stands"):
        leave(bench.sessions, name, session(name))
    leave(bench.sessions, "stopped", session("stopped", **RUNNING))
    rest(bench)
    (bench.sessions / "session_gone.json").unlink()
    bench.until(lambda: (row := bench.row("gone")) and row.source_state == "gone", "it is gone")
    engine.patrol.decide(Decision("stopped", "stopped", engine.clock.now(), "asked for"))
    return engine


def all_stand(bench: Bench, *more: str) -> None:
    """Of the journal and the folder alone."""
    for path in bench.sessions.glob("session_stands*"):
        bench.close()
        path.unlink()
    lose_database(bench)
    bench.start()
    known = {name: bench.status(name) for name in ("gone", "stands", "stopped", *more)}
    assert known == {"stopped": "Stopped"} | dict.fromkeys(("gone", "stands", *more), "Completed")


@BREAKS
def test_a_journal_that_is_spoilt_is_made_anew(bench: Bench, spoil: Callable[[Path], None]) -> None:
    engine = three(bench)
    assert not engine.health().reasons
    spoil(journal_of(bench))
    assert "is being made anew" in engine.health().reasons[0]
    leave(bench.sessions, "later", session("later"))
    bench.until(lambda: bench.status("later") == "Completed", "it goes on")
    (bench.sessions / "session_later.json").unlink()
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    rest(bench)
    all_stand(bench, "later")


@BREAKS
def test_a_journal_that_was_spoilt_while_it_was_down_is_made_anew(bench: Bench, spoil: Callable[[Path], None]) -> None:
    three(bench)
    bench.close()
    spoil(journal_of(bench))
    engine = bench.start()
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    all_stand(bench)


def test_it_is_made_anew_once_there_is_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = three(bench)
    real = Journal.become
    tried = list[str]()

    def refused(journal: Journal, path: str) -> None:
        tried.append(path)
        if len(tried) < 3:
            raise OSError(28, "No space left on device")
        real(journal, path)

    monkeypatch.setattr(Journal, "become", refused)
    monkeypatch.setattr(rewriting, "RETRY_TICKS", 1)
    journal_of(bench).unlink()
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    assert len(tried) == 3
    all_stand(bench)


def test_before_it_takes_the_place_the_offset_is_on_the_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one would lead into the middle of it, after a power cut."""
    disk = Unsynced()
    bench.vfs = "unsynced"
    engine = three(bench)
    real, seen = Journal.become, list[bool]()
    monkeypatch.setattr(Journal, "become", lambda journal, path: (seen.append(disk.dirty), real(journal, path)))
    journal_of(bench).unlink()
    with apsw.Connection(str(bench.database), flags=apsw.SQLITE_OPEN_READONLY) as reader:  # nor can a reader prevent it
        reader.execute("SELECT count(*) FROM execution_states").fetchall()
        bench.until(lambda: not engine.health().reasons, "it is as it should be")
    assert seen == [False]
    bench.close()
    disk.unregister()


def kill(bench: Bench) -> None:
    """As kill -9 leaves it: nothing is ended, nothing taken back."""
    KILLED.append(bench.engine)
    bench.engine = None


KILLED: list[object] = []


@BREAKS
def test_killed_before_it_is_anew_the_next_start_makes_it_anew(bench: Bench, spoil: Callable[[Path], None]) -> None:
    """That it is spoilt is known then too, also once results came to rest meanwhile."""
    three(bench)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Transcript, "step", lambda _: None)
        spoil(journal_of(bench))
        engine = bench.engine
        assert engine is not None
        bench.until(lambda: engine.books._rewriting._work is not None, "it is begun")
        leave(bench.sessions, "later", session("later"))
        rest(bench)
        kill(bench)
        bench.start()
        kill(bench)
    engine = bench.start()
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    (bench.sessions / "session_later.json").unlink()
    rest(bench)
    all_stand(bench, "later")


def test_killed_before_it_has_taken_the_place_the_next_start_makes_it_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException): ...

    def die(_: Journal, _path: str) -> None:
        raise Killed

    three(bench)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "become", die)
        os.truncate(journal_of(bench), 0)
        with pytest.raises(Killed):
            bench.until(lambda: False, "it is killed")
        kill(bench)
    engine = bench.start()
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    all_stand(bench)


def test_what_happens_while_it_is_made_anew_is_in_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that was acknowledged, and a result that was removed."""
    engine = three(bench)
    real, steps = Transcript.step, list[int]()

    def step(made: Transcript) -> None:
        real(made)
        steps.append(len(steps))
        if len(steps) <= 3:
            stop = Decision(f"late-{steps[-1]}", "stopped", engine.clock.now(), "asked for")
            engine.patrol.decide(stop)
        if len(steps) == 3:
            assert engine.patrol.remove(["gone"], dry=False).executions == ["gone"]

    monkeypatch.setattr(transcript, "SLICE", 1)  # a record at each step
    monkeypatch.setattr(Transcript, "step", step)
    journal_of(bench).unlink()
    bench.until(lambda: not engine.health().reasons, "it is as it should be")
    assert len(steps) > 3
    rest(bench)
    lose_database(bench)
    bench.start()
    assert {bench.status(f"late-{number}") for number in steps[:3]} == {"Stopped"}
    assert bench.status("gone") is None


def test_damage_that_is_met_then_is_no_secret(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = three(bench)
    real, met = Transcript.step, list[int]()

    def step(made: Transcript) -> None:
        if not met:
            met.append(1)
            raise apsw.CorruptError("database disk image is malformed")
        real(made)

    monkeypatch.setattr(Transcript, "step", step)
    store = engine.store
    journal_of(bench).unlink()
    bench.until(lambda: not engine.health().reasons and engine.ready, "it is as it should be")
    assert engine.store is not store, "the database was made anew, from what the journal still had"
    all_stand(bench)


class Unsynced(apsw.VFS):
    """`dirty`: whether anything was written to the log and not synced since."""

    def __init__(self) -> None:
        self.dirty = False
        super().__init__("unsynced", "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: Unsynced, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk, self._log = disk, bool(flags[0] & apsw.SQLITE_OPEN_WAL)
        super().__init__("", name, flags)

    def xWrite(self, data: apsw.Buffer, offset: int) -> None:  # noqa: N802
        self._disk.dirty |= self._log
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._disk.dirty &= not self._log
