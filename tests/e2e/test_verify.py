"""`reevctl verify`: the user's own proof, and that it is one: what is wrong in the database, it finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from reevd.schema import COLUMNS
from tests.harness import Daemon, daemon, leave, session, wait_until
from tests.integration.test_database import index

OTHERS = COLUMNS.removeprefix("execution_id,")
INVENT = f"""INSERT INTO execution_states (change, execution_id, {OTHERS})
SELECT change + 1000, 'invented', {OTHERS} FROM execution_states WHERE execution_id = 'gone'"""

CALLED = {"event_type": "ToolInput", "tool_input": {"tool_name": "sol_transfer", "tool_args": {"amount": 1}}}
CALL = json.dumps(CALLED) + "\n"


def verify(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REEV")}
    command = [sys.executable, "-m", "reevd.ctl", "verify", *arguments]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=60, check=False)


def stopped(home: Path) -> Daemon:
    """A daemon that has seen some runs, one of them without files by now, one without its telemetry."""
    running = Daemon(home, settle_seconds=0.05).start()
    for name in ("good", "gone"):
        leave(running.sessions, name, session(name))
        running.wait_for(name, "Completed")
    for name in ("half", "live"):
        (running.sessions / f"enhanced_otel_{name}.jsonl").write_text(CALL)
        running.wait_for(name, "Running")
    leave(running.sessions, "half", session("half", final_result={"success": True, "score": 1.0, "data": {}}))
    running.wait_for("half", "Completed")
    (running.sessions / "session_gone.json").unlink()
    (running.sessions / "enhanced_otel_half.jsonl").unlink()
    # Names of no execution: what is no plain file is refused.
    (running.sessions / "session_linked.json").symlink_to(running.sessions / "session_good.json")
    os.mkfifo(running.sessions / "session_pipe.json")
    running.stop()
    running.start().stop()  # so that the removal is stored, whether or not its event came in time
    return running


def test_a_sound_database_is_proved(tmp_path: Path) -> None:
    stopped(tmp_path)
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 executions: the database says of all of them")
    assert done.stdout.splitlines()[1].startswith("logs/state/reevd.sqlite3, against ")
    assert json.loads(verify(tmp_path, "--json").stdout) == {"executions": 4, "differences": []}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_users_whose_are_not_read_are_no_difference(tmp_path: Path) -> None:
    with daemon(tmp_path, settle_seconds=0.05, writers='["12345"]') as running:
        for name, owner in (("ours", 0), ("theirs", 12345), ("strange", 54321)):
            hidden = running.sessions / name
            hidden.write_text(json.dumps(session(name)))
            os.chown(hidden, owner, -1)
            hidden.rename(running.sessions / f"session_{name}.json")
        running.wait_for("ours", "Completed")
        running.wait_for("theirs", "Completed")
        wait_until(lambda: running.get("/api/v1/problems")["items"], "the stranger's is shown")
        assert [p["kind"] for p in running.get("/api/v1/problems")["items"]] == ["owner"]
        assert running.get("/api/v1/health")["watch"]["writers"] == ["12345"]
        done = verify(tmp_path, "--socket", str(running.socket))
        assert done.returncode == 0, done.stdout + done.stderr
        assert running.execution("strange") is None


def test_an_end_that_no_file_tells_is_no_difference(tmp_path: Path) -> None:
    running = Daemon(tmp_path, settle_seconds=0.05).start()
    leave(running.sessions, "endless", session("endless", end_time=None))
    assert running.wait_for("endless", "Completed")["ended_at"]
    running.stop()
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with apsw.Connection(str(running.database)) as db:
        db.execute("UPDATE execution_states SET ended_at = created_at")
    assert "ended_at" in verify(tmp_path).stdout


def test_what_was_told_once_is_no_difference(tmp_path: Path) -> None:
    """A stub that went or was garbled, telemetry that was emptied: what they said stands, and nobody can compute it."""
    running = Daemon(tmp_path, settle_seconds=0.05).start()
    told = {"timestamp": "2026-01-01T00:00:00Z", "event_type": "ToolInput", "tool_input": {"tool_name": "a"}}
    for name in ("deleted", "garbled", "emptied"):
        if name != "emptied":
            leave(running.sessions, name, session(name, end_time=None, final_result=None))
        (running.sessions / f"enhanced_otel_{name}.jsonl").write_text(json.dumps(told) + "\n")
        running.wait_for(name, "Running")
    (running.sessions / "session_deleted.json").unlink()
    (running.sessions / "session_garbled.json").write_text("{")
    (running.sessions / "enhanced_otel_emptied.jsonl").write_text("")
    running.stop()
    running.start().stop()
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_calls_of_an_end_that_is_kept_are_no_difference(tmp_path: Path) -> None:
    """The result was garbled, and the telemetry emptied, after it had ended: both stand as they were."""
    running = Daemon(tmp_path, settle_seconds=0.05).start()
    told = {"timestamp": "2026-01-01T00:00:00Z", "event_type": "ToolInput", "tool_input": {"tool_name": "a"}}
    telemetry = running.sessions / "enhanced_otel_kept.jsonl"
    telemetry.write_text(json.dumps(told) + "\n")
    path = leave(running.sessions, "kept", session("kept"))
    running.wait_for("kept", "Completed")
    running.request("POST", "/api/v1/sync")
    path.write_text("{")
    telemetry.write_text("")
    running.stop()
    running.start()
    wait_until(lambda: running.execution("kept")["source"]["state"] == "changed", "it is seen")  # type: ignore[index]
    running.stop()
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_read_in_slices_is_proved_to_its_end(tmp_path: Path) -> None:
    """Telemetry of more lines than are read at once, and more telemetry than a look reads of all."""
    told = {"timestamp": "2026-01-01T00:00:00Z", "event_type": "ToolInput", "tool_input": {"tool_name": "last"}}
    paddings = {"long": "\n" * 250_000, **{f"wide{n}": (" " * 999 + "\n") * 6_000 for n in range(5)}}
    running = Daemon(tmp_path, settle_seconds=0.05).start()
    for name, padding in paddings.items():
        (running.sessions / f"enhanced_otel_{name}.jsonl").write_text(padding + json.dumps(told) + "\n")
        leave(running.sessions, name, session(name))
    wait_until(
        lambda: (
            running.get("/api/v1/health")["executions"].get("Completed") == len(paddings)
            and all(running.get(f"/api/v1/executions/{name}/tool-calls") for name in paddings)
        ),
        "the last line of each is read",
        log=running.log,
    )
    running.stop()
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with apsw.Connection(str(running.database)) as db:
        db.execute("DELETE FROM tool_calls")
    assert differences(tmp_path) == {(name, "tool_calls") for name in paddings}


def test_calls_of_telemetry_that_has_outgrown_what_is_read_are_no_difference(tmp_path: Path) -> None:
    telemetry = tmp_path / "logs" / "sessions" / "enhanced_otel_big.jsonl"
    with daemon(tmp_path, settle_seconds=0.05) as running:
        telemetry.write_text(CALL)
        leave(running.sessions, "big", session("big"))
        running.wait_for("big", "Completed")
        wait_until(lambda: running.get("/api/v1/executions/big/tool-calls"), "its call is shown")
        os.truncate(telemetry, 300 << 20)  # it takes no room
        wait_until(lambda: running.get("/api/v1/problems")["items"], "it is told", log=running.log)
    done = verify(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_damage_is_told(tmp_path: Path) -> None:
    running = stopped(tmp_path)
    index(running.database)
    done = verify(tmp_path)
    assert done.returncode == 1
    assert "execution_states" in done.stderr
    assert "Try: " in done.stderr


def lie(database: Path, *statements: str) -> None:
    with apsw.Connection(str(database)) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def differences(home: Path) -> set[tuple[str, str]]:
    """Which fields of which executions are not as the files say."""
    done = verify(home, "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    return {(found["execution_id"], found["field"]) for found in json.loads(done.stdout)["differences"]}


def test_every_lie_of_the_database_is_found(tmp_path: Path) -> None:
    running = stopped(tmp_path)
    lies = {
        ("good", "score"): "UPDATE execution_states SET score = 0.5",
        ("gone", "status"): "UPDATE execution_states SET status = 'Failed'",
        ("live", "tool_calls"): "UPDATE tool_calls SET params = '{}'",
        ("half", "metadata"): 'UPDATE execution_states SET metadata = \'{"mode":"x"}\'',
        ("half", "created_at"): "UPDATE execution_states SET created_at = '2020-01-01T00:00:00Z'",
        ("half", "progress"): "UPDATE execution_states SET progress = 0.5",
        ("half", "reason"): "UPDATE execution_states SET reason = 'so it is'",
        ("half", "session_file"): "UPDATE execution_states SET session_file = NULL",
    }
    lie(running.database, *(f"{update} WHERE execution_id = '{name}'" for (name, _), update in lies.items()), INVENT)
    assert differences(tmp_path) >= {*lies, ("invented", "execution")}
    lie(running.database, "DELETE FROM execution_states WHERE execution_id = 'good'")
    assert ("good", "execution") in differences(tmp_path)


def test_it_proves_a_daemon_at_work_too(tmp_path: Path) -> None:
    running = Daemon(tmp_path, settle_seconds=0.05).start()
    try:
        for number in range(200):
            leave(running.sessions, f"run-{number}", session(f"run-{number}"))
        done = verify(tmp_path)
    finally:
        running.stop()
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_database_it_says_what_to_do(tmp_path: Path) -> None:
    done = verify(tmp_path, "--database", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: verifying {tmp_path / 'none'} against ")
    assert "Try: " in done.stderr
