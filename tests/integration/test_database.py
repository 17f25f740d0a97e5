"""SQLite's bad days: another writer, a slow reader, garbage, a full disk, a link to the database."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from reevd import books, database, store
from tests.harness import ROOT, leave, session
from tests.integration.conftest import Bench
from tests.integration.populated import damaged, fill, leave_telemetry, open_copy, rest, statuses


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(20_000))


def text(path: Path) -> None:
    path.write_text("no database\n" * 100)


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def page_in_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // database.PAGE_BYTES * database.PAGE_BYTES)
        file.write(b"\xff" * database.PAGE_BYTES)


def index(path: Path) -> None:
    """An entry of an index says what its row does not: the defect that this project began with."""
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("writable_schema", value=True)
        where = "FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'execution_states' AND sql LIKE '%status%'"
        rows = db.execute(f"SELECT * {where}").fetchall()
        assert rows
        db.execute(f"DELETE {where}")
    with closing(apsw.Connection(str(path))) as db:
        db.execute("UPDATE execution_states SET status = 'Failed' WHERE status = 'Completed'")
        db.pragma("writable_schema", value=True)
        db.executemany("INSERT INTO sqlite_schema VALUES (?,?,?,?,?)", rows)
    with closing(apsw.Connection(str(path))) as db:
        assert db.execute("PRAGMA quick_check").get == "ok"
        assert db.execute("PRAGMA integrity_check").get != "ok"
        db.pragma("wal_checkpoint", "truncate")


@pytest.mark.parametrize("damage", [garbage, text, half, page_in_the_middle, index])
def test_damage_is_moved_aside_and_everything_comes_back(bench: Bench, damage: Callable[[Path], None]) -> None:
    fill(bench)
    before = statuses(bench)
    bench.close()
    damage(bench.database)
    spoilt = bench.database.read_bytes()
    bench.start()
    bench.until(lambda: damaged(bench), "the damaged one is moved aside")
    bench.until(lambda: bench.engine is not None and bench.engine.ready, "all is read again")
    bench.until(lambda: statuses(bench) == before, "everything is back")
    assert [path.read_bytes() for path in damaged(bench)] == [spoilt]
    assert bench.engine is not None
    assert not bench.engine.health().reasons


@pytest.mark.parametrize("take", [Path.unlink, lambda path: path.rename(path.with_name("elsewhere"))])
def test_a_database_taken_away_is_made_anew(bench: Bench, take: Callable[[Path], object]) -> None:
    fill(bench)
    before = statuses(bench)
    assert bench.engine is not None
    told: list[bool] = []
    bench.engine.replaced = lambda: told.append(True)
    take(bench.database)
    bench.until(lambda: told, "it is noticed")
    leave(bench.sessions, "next", session("next"))
    bench.until(lambda: bench.status("next") == "Completed" and before.items() <= statuses(bench).items(), "all there")
    bench.close()
    with open_copy(bench.database) as db:
        assert db.execute("SELECT count(*) FROM execution_states").get == len(before) + 1


WRITER = """
import apsw, select, sys
db = apsw.Connection(sys.argv[1])
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO meta VALUES ('other', 1)")
print("there", flush=True)
select.select([sys.stdin], [], [], float(sys.argv[2]))
db.execute("COMMIT")
db.close()
"""


def test_another_writer_is_waited_for(bench: Bench) -> None:
    engine = bench.start()
    rest(bench)
    command = [sys.executable, "-c", WRITER, str(bench.database), "0.5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        leave(bench.sessions, "x", session("x"))
        reasons: list[str] = []
        bench.until(lambda: reasons.extend(engine.health().reasons) or bench.status("x"), "it is stored")
        assert engine.store.meta("other") == 1, "the other one came first"
    assert not reasons, "to wait is no failure"


@contextmanager
def reader(bench: Bench) -> Iterator[apsw.Connection]:
    """Holds a read transaction: the log cannot be given back meanwhile."""
    db = apsw.Connection(str(bench.database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM execution_states").fetchall()
        yield db
    finally:
        db.close()


def test_the_log_is_given_back_once_a_reader_has_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 50)
    bench.start()
    wal = bench.database.with_name("state.sqlite3-wal")
    with reader(bench) as db:
        for number in range(50):
            leave(bench.sessions, f"r{number}", session(f"r{number}"))
        bench.until(lambda: len(statuses(bench)) == 50, "all are stored")
        assert db.execute("SELECT count(*) FROM execution_states").get == 0, "the reader sees what it saw"
        assert wal.stat().st_size
    bench.until(lambda: not wal.stat().st_size, "the log is empty")


def test_the_log_does_not_stay_as_large_as_a_burst_made_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is always work, the log is never cut at rest: it is when it begins anew."""
    monkeypatch.setattr(database, "LOG_BYTES", 150_000)
    monkeypatch.setattr(books, "REST_LOOKS", 1 << 30)
    engine = bench.start()
    log = bench.database.with_name(bench.database.name + "-wal")
    names = (f"burst-{number}" for number in itertools.count())

    def large() -> bool:
        leave(bench.sessions, name := next(names), session(name))
        return log.stat().st_size > 400_000

    bench.until(large, "the burst is in the log")

    def small() -> bool:
        engine.store.checkpoint(truncate=False)  # the first may come while the database is being inspected
        leave(bench.sessions, name := next(names), session(name))
        return log.stat().st_size <= 150_000

    bench.until(small, "the log is small again")


def test_a_reader_does_not_delay_the_engine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_MS", 600)
    bench.start()
    with reader(bench):
        leave(bench.sessions, "x", session("x"))
        looks = [time.monotonic()]

        def a_tick_later() -> bool:
            looks.append(time.monotonic())
            return looks[-1] - looks[0] > 0.7

        bench.until(a_tick_later, "some rounds, a tick among them")
        assert bench.status("x") == "Completed"
        longest = max(after - before for before, after in itertools.pairwise(looks))
        assert longest < 0.4, f"nothing happened for {longest:.1f} s"


FULL_DISK = """
import contextlib, json, os, sys
from pathlib import Path
import apsw
from tests.harness import leave, session
from tests.integration.conftest import Bench

home, small = Path(sys.argv[1]), Path(sys.argv[2])
bench = Bench(home)
bench.sessions.mkdir()
bench.database = small / "db"
engine = bench.start()
leave(bench.sessions, "first", session("first"))
bench.until(lambda: bench.status("first") == "Completed" and not engine.store.unsettled(), "first, in the journal too")
with open(small / "filler", "wb", 0) as filler, contextlib.suppress(OSError):
    while True:
        filler.write(bytes(4096))
for number in range(30):
    fields = {} if number % 2 else {"end_time": None, "final_result": None}
    leave(bench.sessions, f"r{number}", session(f"r{number}", metadata={"long": "x" * 20_000}, **fields))
bench.until(lambda: engine.health().stale, "stale")
reader = apsw.Connection(str(bench.database), flags=apsw.SQLITE_OPEN_READONLY)
shown = reader.execute("SELECT status FROM execution_states WHERE execution_id = 'first'").get
reasons = engine.health().reasons
reader.close()
(small / "filler").unlink()
bench.until(lambda: not engine.health().reasons and bench.status("r29"), "healed")
(count,) = engine.store.rows("SELECT count(*) FROM execution_states")[0]
(sound,) = engine.store.rows("PRAGMA integrity_check")[0]
bench.close()
print(json.dumps({"shown": shown, "reasons": reasons, "count": count, "sound": sound}))
"""


def test_a_full_disk_shows_the_last_commit_and_heals(tmp_path: Path) -> None:
    small, home = tmp_path / "small", tmp_path / "home"
    small.mkdir()
    home.mkdir()
    mount = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$@"', str(small)]
    if subprocess.run([*mount, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace")
    command = [*mount, sys.executable, "-c", FULL_DISK, str(home), str(small)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["shown"], told["count"], told["sound"]) == ("Completed", 31, "ok")
    assert re.search("storing fails .*(full|No space left)", told["reasons"][0]), told


def test_news_that_cannot_be_stored_do_not_keep_the_engine_busy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.start()

    def full(*_: object, **__: object) -> None:
        raise apsw.FullError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "reconcile", full)
        patch.setattr(store.Store, "set_meta", full)
        leave(bench.sessions, "x", session("x"))
        bench.until(lambda: engine.health().stale, "health says so")
        leave(bench.sessions, "y", session("y"))
        ends, rounds = time.monotonic() + 0.6, 0
        while time.monotonic() < ends:
            engine.poll.poll(min(engine.step(), 0.1))
            rounds += 1
        assert rounds < 30
    bench.until(lambda: statuses(bench).keys() == {"x", "y"} and not engine.health().stale, "it healed")


def test_a_count_of_calls_never_differs_from_the_calls(bench: Bench) -> None:
    """In no state that is ever committed, while telemetry grows, shrinks and goes: a reader looks after each commit."""
    engine = bench.start()
    query = (
        "SELECT execution_id, tool_calls, (SELECT count(*) FROM tool_calls c WHERE c.execution_id = e.execution_id) n"
        " FROM execution_states e WHERE tool_calls != n"
    )
    other = apsw.Connection(str(bench.database), flags=apsw.SQLITE_OPEN_READONLY)
    wrong: list[Any] = []
    looks = [0]

    def look(db: apsw.Connection, name: str, frames: int) -> int:
        wrong.extend(other.execute(query).fetchall())
        looks[0] += 1
        return engine.store._committed(db, name, frames)

    engine.store.db.set_wal_hook(look)
    result = {"success": True, "score": 1, "tools": [{"tool_name": "from the session"}] * 2}
    for calls in (1, 2, 7, 3, 0, 5):
        leave_telemetry(bench, "x", calls)
        bench.until(lambda n=calls: (row := bench.row("x")) and row.tool_calls == n, f"{calls} calls")
    leave(bench.sessions, "x", session("x", final_result=result))
    rest(bench)
    (bench.sessions / "enhanced_otel_x.jsonl").unlink()
    leave(bench.sessions, "y", session("y", final_result=result))
    bench.until(lambda: (row := bench.row("y")) and row.tool_calls == 2, "the session's own calls")
    rest(bench)
    other.close()
    assert not wrong
    assert looks[0] > 6


LOCKED = """
import fcntl, os, struct, sys
for path, start, length in ((sys.argv[1], 0x40000002, 510), (sys.argv[1] + "-shm", 128, 1)):
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    found = fcntl.fcntl(os.open(path, os.O_RDWR), fcntl.F_GETLK, asked)
    print(struct.unpack("hhqqi4x", found)[0] != fcntl.F_UNLCK)
"""


def locks(database: Path) -> list[bool]:
    """Whether another process finds SQLite's locks on the database and on its shared memory."""
    command = [sys.executable, "-c", LOCKED, str(database)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return [word == "True" for word in done.stdout.split()]


@pytest.mark.parametrize("ending", ["", "-shm"])
def test_the_database_under_another_name_is_not_opened(bench: Bench, ending: str) -> None:
    bench.start()
    rest(bench)
    assert locks(bench.database) == [True, True]
    (bench.sessions / "session_x.json").hardlink_to(f"{bench.database}{ending}")
    bench.until(lambda: bench.problems().get("session_x.json") == "link", "the problem is shown")
    leave(bench.sessions, "x2", session("x2"))
    bench.until(lambda: bench.status("x2") == "Completed", "it goes on")
    assert locks(bench.database) == [True, True], "closing any descriptor of a file drops the process's locks on it"
