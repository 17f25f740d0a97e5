"""Whatever happens to events, the folder is what counts."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reevd import lookout
from reevd.bounds import Pace
from reevd.derive import Limits
from reevd.watch import Watch
from tests.harness import ROOT, leave, session
from tests.integration.conftest import Bench


def test_a_finished_file_is_seen_by_its_event_alone(bench: Bench) -> None:
    bench.start()
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "a is Completed")


def test_telemetry_that_stands_is_kept_where_only_the_session_file_is_news(bench: Bench) -> None:
    engine = bench.start()
    call = {"event_type": "ToolInput", "tool_input": {"tool_name": "transfer", "tool_args": {}}}
    (bench.sessions / "enhanced_otel_a.jsonl").write_text(json.dumps(call) + "\n")
    leave(bench.sessions, "a", session("a", end_time=None, final_result=None))
    bench.until(lambda: bench.status("a") == "Running" and not engine.store.unsettled(), "a is read at rest")
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "a is Completed")
    row = bench.row("a")
    assert row is not None
    assert (row.otel_file, row.tool_calls) == ("enhanced_otel_a.jsonl", 1)


def test_trouble_with_telemetry_stands_where_only_the_session_file_is_news(bench: Bench) -> None:
    engine = bench.start()
    (bench.sessions / "enhanced_otel_a.jsonl").symlink_to("/etc/passwd")
    bench.until(bench.problems, "the link is told")
    troubles = engine.store.rows("SELECT path, since FROM problems")
    leave(bench.sessions, "a", session("a"))
    bench.until(lambda: bench.status("a") == "Completed", "a is Completed")
    assert engine.store.rows("SELECT path, since FROM problems") == troubles


def test_reading_causes_no_events(bench: Bench) -> None:
    for number in range(200):
        leave(bench.sessions, f"e{number}", session(f"e{number}"))
    engine = bench.start()
    bench.until(lambda: not engine.store.unsettled() and engine.idle, "all settled")
    scans = engine.scans
    engine.rescan()
    bench.until(lambda: engine.scans > scans and engine.idle, "scanned again")
    assert engine.health().pending == 0
    assert os.path.exists(bench.database)
    assert engine.poll.poll(0) == []


def test_a_lost_event_is_made_good_by_the_timer(bench: Bench) -> None:
    """A hard link made elsewhere, an mmap, a remote writer: no event ever comes."""
    bench.pace = Pace(rescan=0.2)
    engine = bench.start()
    engine._lookout._watch.take = lambda: (set(), False)  # type: ignore[union-attr, method-assign]  # deaf
    leave(bench.sessions, "quiet", session("quiet"))
    bench.until(lambda: bench.status("quiet") == "Completed", "found by the scan")


def test_overflow_of_the_kernels_queue_ends_in_a_scan(bench: Bench) -> None:
    engine = bench.start()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 3 + 200):  # each is created, written and closed, and nobody takes the events
        (bench.sessions / f"session_o{number}.json").write_text("{}")
    leave(bench.sessions, "last", session("last"))
    bench.until(lambda: bench.status("last") == "Completed", "the last is there", seconds=30)
    bench.until(lambda: engine.idle, "all looked at", seconds=30)
    (count,) = engine.store.rows("SELECT count(*) FROM execution_states")[0]
    assert count == limit // 3 + 201


def test_a_replaced_folder_is_followed(bench: Bench) -> None:
    bench.start()
    bench.sessions.rename(bench.home / "old")
    bench.sessions.mkdir()
    leave(bench.home / "old", "stray", session("stray"))
    leave(bench.sessions, "new", session("new"))
    bench.until(lambda: bench.status("new") == "Completed", "new is seen")
    assert bench.status("stray") is None


def test_a_removed_folder_is_made_again_and_nothing_is_forgotten(bench: Bench) -> None:
    bench.start()
    leave(bench.sessions, "kept", session("kept"))
    bench.until(lambda: bench.status("kept") == "Completed", "kept is Completed")
    shutil.rmtree(bench.sessions)
    bench.until(bench.sessions.exists, "the folder is there again")
    leave(bench.sessions, "next", session("next"))
    bench.until(lambda: bench.status("next") == "Completed", "next is seen")
    kept = bench.row("kept")
    assert kept is not None
    assert (kept.status, kept.source_state) == ("Completed", "gone")


WITHOUT_INOTIFY = """
import sys, time
from pathlib import Path
from reevd.bounds import Pace
from reevd.derive import Limits
from reevd.engine import Engine
home = Path(sys.argv[1])
engine = Engine(str(home / "sessions"), str(home / "db"), pace=Pace(poll=0.1))
while not engine.ready:
    time.sleep(engine.step())
health = engine.health()
(home / "sessions" / "session_p.json").write_text(sys.argv[2])
deadline = time.monotonic() + 10
while not engine.store.known(["p"]).executions and time.monotonic() < deadline:
    time.sleep(min(engine.step(), 0.05))
print(health.mode, bool(health.reasons), engine.store.known(["p"]).executions["p"].status)
engine.close()
"""


MOUNTED_OVER = """
import subprocess, sys, time
from pathlib import Path
from reevd.bounds import Pace
from reevd.engine import Engine
home = Path(sys.argv[1])
sessions = home / "sessions"
engine = Engine(str(sessions), str(home / "db"), pace=Pace(rescan=3600))

def until_completed(name):
    deadline = time.monotonic() + 10
    while True:
        engine.poll.poll(min(engine.step(), 0.1))
        row = engine.store.known([name]).executions.get(name)
        if row and row.status == "Completed":
            return
        assert time.monotonic() < deadline, (name, row, engine.health())

for name, command in (("before", "true"), ("over", "mount -t tmpfs none"), ("after", "umount -l")):
    subprocess.run([*command.split(), str(sessions)], check=True)
    (sessions / f"session_{name}.json").write_text(sys.argv[2])
    until_completed(name)
engine.close()
print("seen")
"""


def test_a_folder_that_is_mounted_over_and_unmounted_is_followed(bench: Bench) -> None:
    command = ["unshare", "-Urm"]
    if subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody mount in a namespace")
    arguments = [sys.executable, "-c", MOUNTED_OVER, str(bench.home), json.dumps(session("before"))]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.split()[-1:] == ["seen"], done.stderr


def test_without_inotify_it_polls_and_says_so(bench: Bench) -> None:
    zero = "echo 0 > /proc/sys/user/max_inotify_instances"
    command = ["unshare", "-Ur", "sh", "-c", f'{zero} && exec "$@"', "sh"]
    if subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody make a user namespace")
    arguments = [sys.executable, "-c", WITHOUT_INOTIFY, str(bench.home), json.dumps(session("p"))]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.split()[-3:] == ["poll", "True", "Completed"], done.stderr


def test_events_that_could_not_be_had_are_asked_for_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "UNWATCHED_TICKS", 1)
    bench.pace = Pace(rescan=3600, poll=3600)
    real, refused = lookout.Watch, list[int]()

    def refusing(folder: int) -> Watch:
        if not refused:
            refused.append(folder)
            raise OSError(errno.EMFILE, "too many")
        leave(bench.sessions, "unseen", session("unseen"))
        return real(folder)

    monkeypatch.setattr(lookout, "Watch", refusing)
    engine = bench.start()
    bench.until(lambda: engine.health().mode == "inotify", "it watches")
    assert not engine.health().reasons
    bench.until(lambda: bench.status("unseen") == "Completed", "what came before is found")
    leave(bench.sessions, "seen", session("seen"))
    bench.until(lambda: bench.status("seen") == "Completed", "what comes is seen")


def test_a_folder_that_is_replaced_while_descriptors_are_short_is_followed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.start()
    real, refused = lookout.remote, list[int]()

    def refusing(folder: int) -> str | None:
        if not refused:
            refused.append(folder)
            raise OSError(errno.EMFILE, "too many open files")
        return real(folder)

    monkeypatch.setattr(lookout, "remote", refusing)
    bench.sessions.rename(bench.home / "away")
    bench.sessions.mkdir()
    leave(bench.sessions, "new", session("new"))
    bench.until(lambda: bench.status("new") == "Completed", "the new folder is read")
    assert refused


def test_where_other_hosts_write_unseen_it_polls_too_and_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "remote", lambda _folder: "nfs4")
    elsewhere, here = bench.home / "elsewhere", bench.sessions / "session_far.json"
    elsewhere.write_text("{")
    os.link(elsewhere, here)
    with elsewhere.open("w") as far:  # what is written through another name is no event of this folder
        elsewhere.unlink()
        far.write("{")
        far.flush()
        engine = bench.start()
        assert "nfs4" in engine.health().reasons[0]
        assert engine.health().mode == "poll"
        bench.until(lambda: bench.problems() == {"session_far.json": "json"} and engine.idle, "it was read once")
        far.seek(0)
        far.write(json.dumps(session("far")))
        far.flush()
        assert engine.poll.poll(0) == []
        bench.until(lambda: bench.status("far") == "Completed", "it is seen")


def test_a_file_that_becomes_readable_is_read(bench: Bench) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    bench.start()
    path = leave(bench.sessions, "shut", session("shut"))
    path.chmod(0)
    bench.until(lambda: bench.problems().get(path.name) == "permission", "the problem is shown")
    path.chmod(0o600)
    bench.until(lambda: bench.status("shut") == "Completed" and not bench.problems(), "it healed")


def test_a_steady_writer_starves_nobody(bench: Bench) -> None:
    """A file that changes all the time is shown as it changes, and so are the others."""
    engine = bench.start()
    busy = bench.sessions / "enhanced_otel_busy.jsonl"
    line = json.dumps({"timestamp": "2026-01-01T00:00:00Z", "event_type": "StepComplete", "metadata": {}}) + "\n"
    leave(bench.sessions, "busy", session("busy", end_time=None, final_result=None))
    leave(bench.sessions, "other", session("other"))
    ends = time.monotonic() + 0.5

    def write_on() -> bool:
        with busy.open("a") as file:
            file.write(line)
        return time.monotonic() > ends

    bench.until(write_on, "half a second of writing")
    assert bench.status("busy") == "Running"
    assert bench.status("other") == "Completed"
    assert engine.store.known(["other"]).files["session_other.json"].mark is not None


def test_a_run_whose_files_are_gone_is_given_up_like_any_other(bench: Bench) -> None:
    bench.limits = Limits(silence=0.3, total=3600)
    bench.start()
    path = leave(bench.sessions, "lost", session("lost", end_time=None, final_result=None))
    bench.until(lambda: bench.status("lost") == "Running", "Running")
    path.unlink()
    bench.until(lambda: bench.status("lost") == "Timeout", "Timeout")
