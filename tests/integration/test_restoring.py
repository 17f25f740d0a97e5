"""A restore that is killed or fails, where it goes, and who followed the database that was."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from reevd import restoring
from reevd.api.changes import Changes
from reevd.engine import Engine
from reevd.feed.follow import follow
from reevd.feed.followers import Notice
from reevd.feed.outcome import Outcome, Wanted
from reevd.feed.sending import Sent
from tests.harness import files_of_at_most, leave, session, wait_until


class Killed(BaseException):
    """As if the process had ended there."""


def fill(sessions: Path, database: Path, *names: str) -> None:
    sessions.mkdir(exist_ok=True)
    for name in names:
        leave(sessions, name, session(name))
    engine = Engine(str(sessions), str(database))
    engine.settle()
    engine.close()


def known(database: Path) -> set[str]:
    with apsw.Connection(str(database)) as db:
        return {row[0] for row in db.execute("SELECT execution_id FROM execution_states")}


def backed_up(home: Path, *names: str) -> str:
    """The path of a backup that holds just these, in no sessions folder."""
    fill(home / "elsewhere", home / "elsewhere.sqlite3", *names)
    return backup_of(home / "elsewhere.sqlite3", home / "copy.sqlite3")


def backup_of(database: Path, to: Path) -> str:
    with closing(apsw.Connection(str(database))) as db:
        db.execute("VACUUM INTO ?", (str(to),))
    return str(to)


STEPS = 13


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_at_any_step_either_of_the_two_is_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    backup = backed_up(tmp_path, "new")
    state = tmp_path / "state"
    state.mkdir()
    database = state / "reevd.sqlite3"
    (tmp_path / "sessions").mkdir()
    leave(tmp_path / "sessions", "old", session("old"))
    engine = Engine(str(tmp_path / "sessions"), str(tmp_path / "running.sqlite3"))
    engine.settle()
    for ending in ("", "-wal", ".journal"):  # as a daemon leaves it that was killed: all of it is in the log
        shutil.copyfile(f"{tmp_path}/running.sqlite3{ending}", f"{database}{ending}")
    engine.close()
    left = [step]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        for name in ("rename", "symlink", "unlink"):
            patched.setattr(restoring.os, name, counted(getattr(os, name)))
        try:
            restoring.put_back(backup, str(database))
        except Killed:
            pass
        else:
            assert step == STEPS - 1, "there are fewer steps than are tried"
    restoring.finish(str(database))
    found = known(database)
    assert found in ({"old"}, {"new"})
    if found == {"new"}:
        assert b'"old"' not in Path(f"{database}.journal").read_bytes()
        (aside,) = (p for p in state.iterdir() if p.name.startswith("reevd.sqlite3.replaced-") and p.name[-1] == "Z")
        assert known(aside) == {"old"}, "with its log, under its new name"
        assert Path(f"{aside}.journal").exists()
    if step == STEPS - 1:
        assert found == {"new"}
    restoring.put_back(backup, str(database))
    assert known(database) == {"new"}
    assert not [p.name for p in state.iterdir() if ".restor" in p.name]


def test_the_next_start_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = backed_up(tmp_path, "new")
    fill(tmp_path / "sessions", tmp_path / "reevd.sqlite3", "old")

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(restoring.os, "rename", killed)
        with pytest.raises(Killed):
            restoring.put_back(backup, str(tmp_path / "reevd.sqlite3"))
    words = ["--once", "--database", "reevd.sqlite3", "--sessions-dir", "sessions"]
    done = subprocess.run([sys.executable, "-m", "reevd.cli", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert known(tmp_path / "reevd.sqlite3") == {"new", "old"}, "the backup, and what the folder says"


@pytest.mark.parametrize("room", [0, 30_000, 100_000])
def test_where_nothing_more_can_be_written_all_is_as_it_was(tmp_path: Path, room: int) -> None:
    backup = backed_up(tmp_path, "new")
    fill(tmp_path / "sessions", tmp_path / "reevd.sqlite3", "old")
    before = {name for name in os.listdir(tmp_path) if name.startswith("reevd.")}
    with files_of_at_most(room), pytest.raises(restoring.RestoreError, match=r"putting back .*copy.sqlite3 \(1 exec"):
        restoring.put_back(backup, str(tmp_path / "reevd.sqlite3"))
    after = {name for name in os.listdir(tmp_path) if name.startswith("reevd.")}
    assert after - before <= {"reevd.sqlite3.lock"}
    assert known(tmp_path / "reevd.sqlite3") == {"old"}


def test_what_stands_in_the_log_beside_it_is_put_back_too(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    leave(tmp_path / "sessions", "new", session("new"))
    engine = Engine(str(tmp_path / "sessions"), str(tmp_path / "running.sqlite3"))
    engine.settle()
    for ending in ("", "-wal"):  # as what was moved aside of a daemon that was killed
        shutil.copyfile(f"{tmp_path}/running.sqlite3{ending}", f"{tmp_path}/copy.sqlite3{ending}")
    engine.close()
    restoring.put_back(str(tmp_path / "copy.sqlite3"), str(tmp_path / "reevd.sqlite3"))
    assert known(tmp_path / "reevd.sqlite3") == {"new"}
    assert known(tmp_path / "copy.sqlite3") == {"new"}, "the backup itself stays whole"


def ended_just_now(sessions: Path, database: Path, *names: str) -> None:
    for name in names:
        leave(sessions, name, session(name, end_time=time.time() + 3600))
    engine = Engine(str(sessions), str(database))
    engine.settle()
    engine.close()


@contextmanager
def following(database: Path, told: list[str]) -> Iterator[None]:
    def tell(outcome: Outcome) -> Sent:
        told.append(outcome.execution_id)
        return Sent()

    stopping = threading.Event()
    hook = Notice("hook", tell, Wanted(), 1)
    thread = threading.Thread(target=follow, args=(hook, str(database), f"{database}-feed", stopping))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def test_what_ends_after_a_restore_is_told_and_what_was_told_is_not_told_again(tmp_path: Path) -> None:
    database, sessions = tmp_path / "reevd.sqlite3", tmp_path / "sessions"
    sessions.mkdir()
    told: list[str] = []
    first, later, newest = ["first"], [f"later{n}" for n in range(10)], ["newest0", "newest1"]
    with following(database, told):
        wait_until(Path(f"{database}-feed").exists, "it follows")
        ended_just_now(sessions, database, *first)
        backup = backup_of(database, tmp_path / "copy.sqlite3")
        ended_just_now(sessions, database, *later)
        wait_until(lambda: len(told) == 11, "they are told")
    changes = Changes(str(database))
    birth = changes.birth
    changes.close()
    for path in sessions.iterdir():
        path.unlink()
    restoring.put_back(backup, str(database))
    changes = Changes(str(database))
    assert changes.birth != birth, "who follows the live events begins anew"
    changes.close()
    ended_just_now(sessions, database, *newest)
    with following(database, told):
        wait_until(lambda: set(newest) <= set(told), "the new ones are told")
    assert sorted(told) == sorted(first + later + newest)


def restore(home: Path, host: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`reevd restore` on a host whose daemon keeps its database at that place."""
    body = (
        f"from reevd import cli, restoring; restoring.HOST_DATABASE = {str(host)!r}; import sys; sys.exit(cli.main())"
    )
    words = [sys.executable, "-c", body, "restore", *arguments]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("REEV")}
    return subprocess.run(words, cwd=home, env=environ, capture_output=True, text=True, timeout=60)


def test_on_a_host_it_goes_where_its_daemon_looks(tmp_path: Path) -> None:
    backup = backed_up(tmp_path, "new")
    host, home = tmp_path / "var" / "reevd.sqlite3", tmp_path / "root"
    home.mkdir()
    settings = tmp_path / "reevd.yaml"
    settings.write_text("retention_days: 90\n")
    refused = restore(home, host, backup)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "name the place with --database" in refused.stderr
    assert not os.listdir(home), "nothing is made where nothing ran"
    host.parent.mkdir()
    for number, more in enumerate(([], ["--config", str(settings)]), 1):
        done = restore(home, host, backup, *more)
        assert done.stdout.startswith(f"{host} is {backup} now"), done.stderr
        assert done.stdout.count("what stood there") == number - 1
        assert known(host) == {"new"}
        assert not os.listdir(home)
    (home / "logs" / "state").mkdir(parents=True)
    assert restore(home, host, backup).stdout.startswith("logs/state/reevd.sqlite3 is ")


def test_a_place_that_may_not_be_written_is_an_error_and_no_traceback(tmp_path: Path) -> None:
    backup = backed_up(tmp_path, "new")
    (tmp_path / "file").touch()
    done = restore(tmp_path, tmp_path, backup, "--database", "file/reevd.sqlite3")
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: putting back {backup} (1 executions): ")
