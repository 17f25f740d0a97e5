"""What each defence of the engine is for, where no other test would miss it: see tests/mutants."""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reevd import files, reader
from reevd.bounds import Bounds
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.errors import UnreadableError
from reevd.files import Folder
from reevd.journal import line_of
from reevd.patrol import PILE
from reevd.reader import Reader
from tests.harness import files_of_at_most, leave, session
from tests.integration.conftest import Bench, no_threads

RUNNING: dict[str, object] = {"end_time": None, "final_result": None}


def scored(score: float) -> str:
    return json.dumps(session("a", final_result={"success": True, "score": score, "data": {}}))


def line(tool: str) -> str:
    return json.dumps({"event_type": "ToolInput", "tool_input": {"tool_name": tool, "tool_args": {}}}) + "\n"


def tools(bench: Bench, execution_id: str) -> list[str]:
    assert bench.engine is not None
    query = "SELECT tool_name FROM tool_calls WHERE execution_id = ? ORDER BY seq"
    return [name for (name,) in bench.engine.store.rows(query, (execution_id,))]


def score(bench: Bench, execution_id: str = "a") -> float | None:
    row = bench.row(execution_id)
    return row.score if row else None


def rest(bench: Bench) -> None:
    """Until nothing waits and every reading counts."""
    engine = bench.engine
    assert engine is not None
    bench.until(lambda: engine.idle and not engine.health().pending and not engine.store.unsettled(), "all at rest")


def lose_database(bench: Bench) -> None:
    bench.close()
    for ending in ("", "-wal", "-shm"):
        Path(f"{bench.database}{ending}").unlink(missing_ok=True)


def test_bytes_that_arrive_after_their_time_stamp_are_seen(bench: Bench) -> None:
    """A store through a mapping tells nobody: only the second look at a file that changed just now finds it."""
    bench.bounds = Bounds(settle_ns=500_000_000)
    bench.start()
    path = leave(bench.sessions, "a", scored(0.25))
    bench.until(lambda: score(bench) == 0.25, "the first reading is shown")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        at = mapped.find(b"0.25")
        mapped[at : at + 4] = b"0.75"
        # Still open: closing a file that was open for writing is an event.
        bench.until(lambda: score(bench) == 0.75, "the second look sees what came", seconds=4)


def test_a_file_that_changed_after_its_batch_began_has_not_settled_sooner(tmp_path: Path) -> None:
    """The batch took long: what was seen last of it was seen later than its beginning says."""
    settle = Bounds().settle_ns
    path = leave(tmp_path, "a", session("a"))
    began = path.stat().st_ctime_ns - settle // 2
    folder = Folder(str(tmp_path))
    with closing(folder):
        reads = Reader(folder, Bounds())

        def wait(later: int) -> int | None:
            now = began + later
            return reads.read("a", {}, now // 1000, now, ended=False).session_part.again

        assert wait(0)
        assert wait(settle), "half of that time it was another"
        assert wait(settle + settle // 2) is None


def test_a_file_caught_while_it_is_written_changes_nothing(bench: Bench) -> None:
    bench.bounds = Bounds(settle_ns=3_000_000_000)
    engine = bench.start()
    leave(bench.sessions, "a", session("a", **RUNNING))
    bench.until(lambda: bench.status("a") == "Running", "it runs")
    before, read = bench.row("a"), engine.patrol._reader.taken
    (bench.sessions / "session_a.json").write_text('{"session_id": "half')
    bench.until(lambda: engine.patrol._reader.taken > read and engine.idle, "it was read")
    assert bench.row("a") == before


def test_who_is_given_up_has_ended_its_last_line(bench: Bench) -> None:
    bench.limits = Limits(silence=0.5)
    bench.start()
    (bench.sessions / "enhanced_otel_a.jsonl").write_text(line("one") + line("two").rstrip())
    bench.until(lambda: bench.status("a") == "Timeout", "it is given up")
    bench.until(lambda: tools(bench, "a") == ["one", "two"], "the last line counts")


def test_a_file_with_its_old_time_is_read_all_the_same(bench: Bench) -> None:
    """As `rsync -t`, `tar` and `cp -p` leave it, while reevd is down."""
    bench.start()
    path = leave(bench.sessions, "a", scored(0.25))
    rest(bench)
    bench.close()
    before = path.stat()
    leave(bench.sessions, "a", scored(0.75))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    bench.start()
    assert score(bench) == 0.75


@pytest.mark.parametrize("how", ["in-place", "by-rename"])
def test_telemetry_that_was_written_anew_is_read_anew(bench: Bench, how: str) -> None:
    """It is longer than before, so that its length alone tells nothing."""
    bench.start()
    leave(bench.sessions, "a", session("a", **RUNNING))
    path = bench.sessions / "enhanced_otel_a.jsonl"
    path.write_text(line("old-1") + line("old-2"))
    bench.until(lambda: tools(bench, "a") == ["old-1", "old-2"], "the old lines")
    target = path if how == "in-place" else bench.sessions / "whole"
    target.write_text(line("new-1") + line("new-2") + line("new-3"))
    target.rename(path)
    bench.until(lambda: tools(bench, "a") == ["new-1", "new-2", "new-3"], "the new lines", seconds=4)


def test_telemetry_of_many_is_read_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered of it counts by what it holds, and not by what was read."""
    monkeypatch.setattr(reader, "REMEMBERED_BYTES", 1 << 20)
    step = json.dumps({"event_type": "StepComplete", "padding": "x" * 1000}) + "\n"
    engine, names = bench.start(), [f"run-{number}" for number in range(8)]
    for name in names:
        (bench.sessions / f"enhanced_otel_{name}.jsonl").write_text(500 * step)
    rest(bench)
    before = engine.patrol._reader.taken
    for name in names:
        with (bench.sessions / f"enhanced_otel_{name}.jsonl").open("a") as file:
            file.write(line(name))
    bench.until(lambda: all(tools(bench, name) == [name] for name in names), "the new lines")
    rest(bench)
    assert engine.patrol._reader.taken - before < 500 * len(step), "less than one of the eight"


def test_a_line_counts_once_its_newline_is_there(bench: Bench) -> None:
    bench.start()
    leave(bench.sessions, "a", session("a", **RUNNING))
    path = bench.sessions / "enhanced_otel_a.jsonl"
    path.write_text(line("one") + line("two").rstrip("\n"))
    rest(bench)
    assert tools(bench, "a") == ["one"]
    with path.open("a") as file:
        file.write("\n")
    bench.until(lambda: tools(bench, "a") == ["one", "two"], "two is whole")


class LateSwap:
    """`os`, as reevd.files sees it: the name becomes something else between every earlier look and the opening."""

    def __init__(self, path: Path, target: Path | None) -> None:
        self._path, self._target = path, target

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, name: str, flags: int, **options: Any) -> int:
        if name == self._path.name:
            self._path.unlink()
            os.mkfifo(self._path) if self._target is None else self._path.symlink_to(self._target)
        return os.open(name, flags, **options)


@pytest.mark.parametrize("kind", ["special", "link"])
def test_a_name_that_is_swapped_at_the_last_moment_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    outside = bench.home / "outside"
    outside.write_text(scored(0.5))
    bench.start()
    path = bench.sessions / "session_a.json"
    monkeypatch.setattr(files, "os", LateSwap(path, outside if kind == "link" else None))
    leave(bench.sessions, "a", scored(0.25))
    bench.until(lambda: bench.problems().get(path.name) == kind or score(bench), "refused", seconds=4)
    assert (bench.problems(), score(bench)) == ({path.name: kind}, None)


def test_without_a_thread_the_engine_works_all_the_same(bench: Bench) -> None:
    with no_threads():
        for number in range(2 * PILE):
            leave(bench.sessions, f"run-{number}", session(f"run-{number}"))
        engine = bench.start()
        bench.until(lambda: not engine.health().pending, "the pile is done")
        bench.until(lambda: engine.store.wal_bytes == 0, "and it is at rest")
    assert bench.status(f"run-{PILE}") == "Completed"
    inspection = engine.books._inspection._thread
    assert inspection.ident is None
    bench.until(lambda: inspection.ident, "the database is inspected once there is a thread")


def test_a_database_that_is_given_another_name_at_the_last_moment_keeps_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that closes a file loses all its locks on it: so what was opened by trickery stays open."""
    database = tmp_path / "index"
    database.write_bytes(b"x" * 200)
    sessions = tmp_path / "sessions"
    sessions.mkdir()

    class Linked(LateSwap):
        def open(self, name: str, flags: int, **options: Any) -> int:
            (sessions / name).unlink()
            (sessions / name).hardlink_to(database)
            return os.open(name, flags, **options)

    path = sessions / "session_a.json"
    path.write_text("{}")
    folder = files.Folder(str(sessions))
    with database.open("r+b") as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)
        monkeypatch.setattr(files, "os", Linked(path, None))
        with pytest.raises(UnreadableError):
            folder.open(path.name)
        ask = f"import fcntl; fcntl.lockf(open({str(database)!r}, 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        asked = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in asked.stderr, "the lock is gone"
    folder.close()


def test_a_file_that_is_given_another_name_at_the_last_moment_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it is open for another reading: whoever does that again and again must not use up all descriptors."""

    class Linked(LateSwap):
        def open(self, name: str, flags: int, **options: Any) -> int:
            (tmp_path / "second").hardlink_to(tmp_path / name)
            return os.open(name, flags, **options)

    path = tmp_path / "session_a.json"
    path.write_text("{}")
    with closing(files.Folder(str(tmp_path))) as folder:
        read = folder.open(path.name)
        assert read
        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr(files, "os", Linked(path, None))
        with pytest.raises(UnreadableError, match="2 names"):
            folder.open(path.name)
        assert os.listdir("/proc/self/fd") == before
        read.close()


class NoDescriptors:
    """`os`, as reevd.files sees it: while `refusing`, no session file can be opened."""

    refusing = True

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, name: str, flags: int, **options: Any) -> int:
        if self.refusing and name.startswith("session_"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return os.open(name, flags, **options)


def test_without_descriptors_no_file_counts_as_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.start()
    leave(bench.sessions, "a", scored(0.25))
    rest(bench)
    none_left = NoDescriptors()
    monkeypatch.setattr(files, "os", none_left)
    leave(bench.sessions, "a", scored(0.75))
    bench.until(lambda: engine.health().reasons, "health says so", seconds=4)
    row = bench.row("a")
    assert row is not None
    assert (row.score, row.source_state) == (0.25, "present")
    none_left.refusing = False
    bench.until(lambda: score(bench) == 0.75 and not engine.health().reasons, "it is read later", seconds=4)


def test_what_an_overflow_swallowed_is_found(bench: Bench) -> None:
    engine = bench.start()
    noisy = [bench.sessions / "session_n1.json", bench.sessions / "session_n2.json"]
    for path in noisy:
        path.write_text("{}")
    rest(bench)
    scans = engine.scans
    for number in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) + 2):
        noisy[number % 2].chmod(0o600)  # in turns, since the kernel joins equal events
    leave(bench.sessions, "a", scored(0.5))
    bench.until(lambda: score(bench) == 0.5, "found though its event was lost", seconds=4)
    assert engine.scans > scans


def deaf(bench: Bench) -> Engine:
    """Files a, b and c were read, and are to be read once more in an hour. From here on no event arrives."""
    bench.bounds = Bounds(settle_ns=3_600_000_000_000)
    engine = bench.start()
    for name in "abc":
        leave(bench.sessions, name, scored(0.5))
    bench.until(lambda: all(bench.status(name) for name in "abc") and engine.idle, "all are read")
    engine._lookout._watch.take = lambda: (set(), False)  # type: ignore[union-attr, method-assign]
    return engine


def test_a_scan_sees_what_changed_before_its_second_look(bench: Bench) -> None:
    engine = deaf(bench)
    leave(bench.sessions, "a", scored(0.75))
    (bench.sessions / "session_b.json").unlink()
    engine.rescan()
    bench.until(lambda: score(bench) == 0.75, "the change is seen")
    bench.until(lambda: (row := bench.row("b")) is not None and row.source_state == "gone", "so is the removal")


def test_a_scan_leaves_what_waits_for_its_second_look(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each scan during a burst would have read again all that the burst brought so far."""
    engine = deaf(bench)
    looked: list[str] = []
    monkeypatch.setattr(engine.patrol, "_look", lambda batch, *_: looked.extend(batch))
    wanted = engine.rescan()
    bench.until(lambda: engine.scans >= wanted and engine.idle, "scanned")
    assert looked == []
    assert engine.health().pending == 3


def test_a_folder_that_was_replaced_with_its_parent_is_followed(bench: Bench) -> None:
    """Nothing happens to the watched folder itself, so that no event tells."""
    bench.sessions = bench.home / "logs" / "sessions"
    bench.sessions.mkdir(parents=True)
    bench.start()
    bench.sessions.parent.rename(bench.home / "old")
    bench.sessions.mkdir(parents=True)
    leave(bench.sessions, "a", scored(0.5))
    bench.until(lambda: score(bench) == 0.5, "the new folder is read", seconds=4)


def test_ready_means_that_the_first_scan_is_stored(bench: Bench) -> None:
    for number in range(600):
        leave(bench.sessions, f"r{number}", session(f"r{number}"))
    engine = bench.start()
    assert engine.scans == 1
    assert engine.store.rows("SELECT count(*) FROM execution_states") == [(600,)]


def test_no_verdict_is_spoken_before_the_first_scan_is_stored(bench: Bench) -> None:
    bench.limits = Limits(silence=0.01)
    for number in range(600):
        leave(bench.sessions, f"r{number}", session(f"r{number}", **RUNNING))
    engine = Engine(str(bench.sessions), str(bench.database), limits=bench.limits, bounds=bench.bounds)
    bench.engine = engine
    counts = "SELECT count(*) FILTER (WHERE status = 'Timeout'), count(*) FROM execution_states"
    while not engine.ready:
        assert engine.store.rows(counts)[0][0] == 0
        engine.step()
    bench.until(lambda: engine.store.rows(counts) == [(600, 600)], "they are given up afterwards")


def test_a_result_that_comes_after_the_verdict_wins(bench: Bench) -> None:
    bench.limits = Limits(silence=0.1)
    bench.start()
    leave(bench.sessions, "a", session("a", **RUNNING))
    bench.until(lambda: bench.status("a") == "Timeout", "given up")
    leave(bench.sessions, "a", scored(0.5))
    bench.until(lambda: bench.status("a") == "Completed", "the result wins", seconds=4)
    rest(bench)
    assert (bench.status("a"), score(bench)) == ("Completed", 0.5)


def test_a_result_whose_file_went_at_once_outlives_the_database(bench: Bench) -> None:
    """It was shown, so it is kept, though its file had not yet come to rest."""
    bench.bounds = Bounds(settle_ns=60_000_000_000)
    bench.start()
    path = leave(bench.sessions, "a", scored(0.5))
    bench.until(lambda: score(bench) == 0.5, "it is shown")
    path.unlink()
    bench.until(lambda: (row := bench.row("a")) and row.source_state == "gone", "its file is gone")
    lose_database(bench)
    bench.start()
    assert (bench.status("a"), score(bench)) == ("Completed", 0.5)


def test_a_result_whose_file_never_rests_outlives_the_database(bench: Bench) -> None:
    """It was shown; since then it is written again and again, and has not come to rest."""
    bench.bounds = Bounds(settle_ns=60_000_000_000)
    bench.start()
    path = leave(bench.sessions, "a", scored(0.5))
    bench.until(lambda: score(bench) == 0.5, "it is shown")
    journal = bench.database.with_name("state.sqlite3.journal")
    assert not journal.stat().st_size
    path.write_text(scored(0.5)[:40])
    bench.until(lambda: journal.stat().st_size, "it is kept")
    lose_database(bench)
    bench.start()
    assert (bench.status("a"), score(bench)) == ("Completed", 0.5)


def test_a_torn_end_of_the_journal_costs_only_itself(bench: Bench) -> None:
    bench.start()
    leave(bench.sessions, "a", scored(0.5))
    rest(bench)
    bench.close()
    with bench.database.with_name("state.sqlite3.journal").open("ab") as file:
        file.write(b'0badc0de {"result": {"execution_id": "tor')
    bench.start()
    leave(bench.sessions, "b", session("b"))
    rest(bench)
    for path in bench.sessions.iterdir():
        path.unlink()
    lose_database(bench)
    bench.start()
    assert (bench.status("a"), bench.status("b")) == ("Completed", "Completed")


REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON execution_states BEGIN SELECT RAISE(ABORT, 'no'); END"


def test_what_reached_the_journal_alone_is_not_forgotten(bench: Bench) -> None:
    """The database refuses the rows; the process ends; the file goes: the journal still knows of the result."""
    bench.bounds = Bounds(settle_ns=0)
    engine = bench.start()
    engine.store.db.execute(REFUSE)
    path = leave(bench.sessions, "a", scored(0.5))
    bench.until(lambda: engine.health().stale, "storing fails")
    engine.store.db.execute("DROP TRIGGER refuse")
    bench.close()
    path.unlink()
    bench.start()
    assert (bench.status("a"), score(bench)) == ("Completed", 0.5)


def test_a_file_whose_row_was_not_stored_is_looked_at_again(bench: Bench) -> None:
    bench.bounds = Bounds(settle_ns=0)
    engine = bench.start()
    engine.store.db.execute(REFUSE)
    leave(bench.sessions, "a", session("a", **RUNNING))
    bench.until(lambda: engine.health().stale, "storing fails")
    engine.store.db.execute("DROP TRIGGER refuse")
    bench.close()
    bench.start()
    assert bench.status("a") == "Running"


def test_a_verdict_that_the_journal_does_not_take_is_not_shown(bench: Bench) -> None:
    """The journal cannot grow, the database could: what would be forgotten with it must not be seen in it."""
    journal = bench.database.with_name("state.sqlite3.journal")
    journal.write_bytes(line_of({"forgotten": ["x" * (8 << 20)]}))  # larger than the database will be
    bench.limits = Limits(silence=0.2)
    engine = bench.start()
    leave(bench.sessions, "a", session("a", **RUNNING))
    bench.until(lambda: bench.status("a") == "Running", "it runs")
    with files_of_at_most(journal.stat().st_size):
        bench.until(lambda: engine.health().stale, "storing fails")
        assert bench.status("a") == "Running"
        assert engine.store.rows("SELECT * FROM decisions") == []
    bench.until(lambda: bench.status("a") == "Timeout", "given up once the journal has it")
