"""Retention: what ended long ago goes for good, and nothing else does."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs

from reevd.engine import Engine
from reevd.feed.outbox import Outbox
from reevd.feed.outcome import Outcome
from reevd.retention import Retention
from tests.harness import Daemon, daemon, leave, session, wait_until

OLD, DAYS = 1_500_000_000, 1000


def old(execution_id: str, **more: Any) -> dict[str, Any]:
    return session(execution_id, start_time=OLD, end_time=OLD + 5, **more)


def prune(running: Daemon, **body: object) -> dict[str, Any]:
    status, answer = running.request("POST", "/api/v1/prune", {"days": DAYS, **body})
    assert status == 200, answer
    return dict(answer)


def known(running: Daemon) -> list[str]:
    return sorted(each["execution_id"] for each in running.get("/api/v1/executions?limit=1000")["items"])


def files(running: Daemon) -> list[str]:
    return sorted(os.listdir(running.sessions))


def three_and_one(running: Daemon) -> None:
    """Three old executions, one with telemetry, and a fresh one."""
    for name in ("a", "b", "c"):
        leave(running.sessions, name, old(name))
    (running.sessions / "enhanced_otel_a.jsonl").write_text('{"event_type": "StepComplete", "session_id": "a"}\n')
    leave(running.sessions, "fresh", session("fresh"))
    for name in ("a", "b", "c", "fresh"):
        running.wait_for(name, "Completed")
    running.request("POST", "/api/v1/sync")


@pytest.fixture
def settings() -> dict[str, object]:
    return {"settle_seconds": 0.05}


def test_a_dry_run_says_what_would_go_and_removes_nothing(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        before = files(running)
        told = prune(running, dry_run=True)
        assert (told["executions"], told["execution_ids"], told["kept"]) == (3, ["a", "b", "c"], [])
        assert told["bytes"] == sum((running.sessions / n).stat().st_size for n in before if "fresh" not in n)
        assert files(running) == before
        assert known(running) == ["a", "b", "c", "fresh"]


def test_old_ones_go_with_their_files_and_do_not_come_back(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        assert prune(running)["executions"] == 3
        assert (known(running), files(running)) == (["fresh"], ["session_fresh.json"])
        running.stop()
        for ending in ("", "-wal", "-shm"):
            Path(f"{running.database}{ending}").unlink(missing_ok=True)
        running.start()  # from the journal and the folder alone
        assert known(running) == ["fresh"]


def test_the_journal_forgets_them_too(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        journal = Path(f"{running.database}.journal")
        for name in ("a", "fresh"):  # results that outlive their files stand in the journal
            (running.sessions / f"session_{name}.json").unlink()
        running.request("POST", "/api/v1/sync")
        assert b'"execution_id":"a"' in journal.read_bytes()
        prune(running)
        wait_until(
            lambda: b'"execution_id":"a"' not in journal.read_bytes(), "the journal is compacted", log=running.log
        )
        assert b'"execution_id":"fresh"' in journal.read_bytes()
        leave(running.sessions, "later", session("later"))
        running.wait_for("later", "Completed")
        (running.sessions / "session_later.json").unlink()
        running.request("POST", "/api/v1/sync")
        running.kill()
        for ending in ("", "-wal", "-shm"):
            Path(f"{running.database}{ending}").unlink(missing_ok=True)
        running.start()
        assert known(running) == ["fresh", "later"]


def test_a_reader_does_not_keep_the_journal_from_being_compacted(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        journal = Path(f"{running.database}.journal")
        with closing(apsw.Connection(str(running.database), flags=apsw.SQLITE_OPEN_READONLY)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM execution_states").fetchall() == [(4,)]
            stood = journal.stat().st_ino
            prune(running)
            wait_until(lambda: journal.stat().st_ino != stood, "another has taken its place", log=running.log)
        assert b'"execution_id":"a"' not in journal.read_bytes()


def test_what_an_older_writer_left_beside_telemetry_goes_too(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        (running.sessions / "otel_a.jsonl").write_text('{"event_type": "StepComplete", "session_id": "a"}\n')
        running.request("POST", "/api/v1/sync")
        assert prune(running)["executions"] == 3
        assert files(running) == ["session_fresh.json"]


def test_what_has_not_ended_stays_however_old(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, silence_seconds=1e8, total_seconds=9e8, **settings) as running:
        leave(running.sessions, "open", session("open", start_time=OLD, end_time=None, final_result=None))
        running.wait_for("open", "Running")
        assert prune(running)["executions"] == 0
        assert known(running) == ["open"]


def test_numbers_of_changes_are_not_given_twice(tmp_path: Path, settings: dict[str, object]) -> None:
    def highest() -> int:
        with closing(apsw.Connection(str(running.database), flags=apsw.SQLITE_OPEN_READONLY)) as db:
            (found,) = db.execute("SELECT coalesce(max(change), 0) FROM execution_states").fetchone()
            return int(found)

    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        leave(running.sessions, "last", old("last"))
        running.wait_for("last", "Completed")
        running.request("POST", "/api/v1/sync")
        before = highest()
        prune(running)
        running.stop()
        running.start()
        leave(running.sessions, "next", session("next"))
        running.wait_for("next", "Completed")
        assert highest() > before


def test_a_file_that_changed_since_it_was_read_stays(tmp_path: Path) -> None:
    # A folder that is only polled, and rarely: the daemon cannot have seen the change when it is asked to prune.
    with daemon(tmp_path, settle_seconds=0.05, rescan_seconds=1000) as running:
        three_and_one(running)
        running.stop()
        running.start()
        session_file = running.sessions / "session_a.json"
        os.utime(session_file, (OLD, OLD + 1))
        told = prune(running)
        assert told["executions"] + told["kept_count"] == 3
        if told["kept_count"]:  # else the event was faster, and it was read again
            assert told["kept"] == [
                {"execution_id": "a", "why": "its files changed since they were read, or cannot be read"}
            ]
            assert "a" in known(running)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set the flag that keeps root from removing a file")
def test_what_cannot_be_removed_is_told_and_stays_whole(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        if os.system(f"chattr +i {running.sessions}/session_b.json 2>/dev/null"):
            pytest.skip("this file system knows no immutable files")
        try:
            running.request("POST", "/api/v1/sync")
            told = prune(running)
            assert told["executions"] == 2
            assert [each["execution_id"] for each in told["kept"]] == ["b"]
            assert "Operation not permitted" in told["kept"][0]["why"]
            assert known(running) == ["b", "fresh"]
        finally:
            os.system(f"chattr -i {running.sessions}/session_b.json")


def test_it_goes_by_itself_where_an_age_is_set(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        three_and_one(running)
        running.stop()
        running.settings["retention_days"] = DAYS
        running.start()
        wait_until(lambda: known(running) == ["fresh"], "the old ones are gone", log=running.log)
        assert files(running) == ["session_fresh.json"]


def test_killed_at_any_moment_the_next_pass_ends_it(tmp_path: Path, settings: dict[str, object]) -> None:
    with daemon(tmp_path, **settings) as running:
        for number in range(700):
            leave(running.sessions, f"n{number:03}", old(f"n{number:03}"))
        leave(running.sessions, "fresh", session("fresh"))
        running.wait_for("fresh", "Completed")
        running.request("POST", "/api/v1/sync")
        running.stop()
        running.settings["retention_days"] = DAYS
        for _ in range(3):
            running.start(ready=False)
            before = len(files(running))
            wait_until(lambda before=before: len(files(running)) < before or before == 1, "files go")
            running.kill()
        running.start()
        wait_until(lambda: known(running) == ["fresh"], "all old ones are gone", log=running.log)
        assert files(running) == ["session_fresh.json"]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        for body in ({"days": 0}, {"days": "x"}, {"dry_run": 1}, {"day": 3}, [], {"days": True}):
            status, answer = running.request("POST", "/api/v1/prune", body)
            assert (status, answer["error"]) == (400, "bad request"), (body, answer)


def test_without_an_age_nothing_goes(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        status, answer = running.request("POST", "/api/v1/prune", {})
        assert status == 400
        assert "retention_days" in answer["message"]


def test_what_goes_before_somebody_was_told_is_counted_and_said(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    for name in ("told", "untold", "kept"):
        leave(sessions, name, old(name))
    engine = Engine(str(sessions), str(tmp_path / "reevd.sqlite3"))
    with closing(engine):
        engine.settle()
        outbox = Outbox(str(tmp_path / "reevd.sqlite3-feed"), "forward", "")
        times = (None, "2017-07-14T02:40:00Z", "2017-07-14T02:40:05Z")
        outbox.take([Outcome(name, "b", "a", "Completed", 1.0, "", *times) for name in ("untold", "kept")], "birth", 2)
        outbox.close()
        (sessions / "session_kept.json").write_text("changed since it was read")
        retention = Retention(engine, 0)
        for dry in (True, False):
            asked = retention.start(DAYS, dry=dry)
            with capture_logs() as logs:
                while not asked.done:
                    retention.step()
            lines = [line for line in logs if line["event"].startswith("removed before")]
            assert [(line["log_level"], line["execution_id"]) for line in lines] == (
                [] if dry else [("warning", "untold")]
            )
            assert retention.untold == (0 if dry else 1)


def test_the_outbox_is_for_its_owner_alone_like_the_database(tmp_path: Path) -> None:
    path = tmp_path / "feed"
    path.touch(0o644)
    outbox = Outbox(str(path), "forward", "")
    assert {oct(each.stat().st_mode & 0o777) for each in tmp_path.iterdir()} == {"0o600"}
    assert len(list(tmp_path.iterdir())) > 1, "its log stands beside it"
    outbox.close()
