"""Runs that the daemon starts: real runners, and ones that behave as badly as a program can."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.harness import ROOT, Daemon, alive, daemon, leave, session, wait_until

CASE = "001-sol-transfer"
RUN = f"/api/v1/benchmarks/{CASE}/run"
SECRET = "sk-thirtytwo-letters-of-a-real-key"
# What every runner of these tests begins with: its arguments, and how it leaves a result.
PRELUDE = """#!{python}
import json, os, signal, subprocess, sys, time
if "--list-agents" in sys.argv:
    print("deterministic\\nlocal")
    sys.exit()
given = dict(a[2:].split("=", 1) for a in sys.argv[1:] if "=" in a)
id, folder = given["execution-id"], given["sessions-dir"]
def leave(**fields):
    fields.update(start_time=time.time())
    text = json.dumps(dict(session_id=id, benchmark_id="{case}", agent_type=given["agent"], **fields))
    open(folder + "/.tmp-" + id, "w").write(text)
    os.rename(folder + "/.tmp-" + id, folder + "/session_" + id + ".json")
def done(): leave(end_time=time.time(), final_result=dict(success=True, score=1.0))
def until(path):
    while not os.path.exists(path): time.sleep(0.01)
"""

STUB = "leave(end_time=None, final_result=None)\n"


def prepare(home: Path, body: str = "") -> dict[str, Any]:
    """A home with the case 001 and, where there is a body, a runner that does that. The daemon's settings."""
    (home / "benchmarks").mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "benchmarks" / f"{CASE}.yml", home / "benchmarks")
    settings: dict[str, Any] = {"settle_seconds": 0.1}
    if body:
        script = home / "a-runner"
        script.write_text(PRELUDE.format(python=sys.executable, case=CASE) + body)
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        settings["runner"] = script
    return settings


def run(running: Daemon, execution_id: str, **more: object) -> None:
    body = {"agent": "deterministic", "execution_id": execution_id, **more}
    status, answer = running.request("POST", RUN, body)
    assert (status, answer) == (202, {"execution_id": execution_id, "status": "Queued"})


def stop(running: Daemon, execution_id: str) -> tuple[int, Any]:
    return running.request("POST", f"/api/v1/benchmarks/{CASE}/stop/{execution_id}")


def statuses(running: Daemon, execution_id: str) -> list[str]:
    return [step["status"] for step in running.get(f"/api/v1/executions/{execution_id}/history")]


def spool(running: Daemon) -> list[str]:
    return sorted(os.listdir(running.database.parent / "spool"))


def test_a_real_run_from_the_queue_to_its_end(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path)) as running:
        run(running, "a")
        found = running.wait_for("a", "Completed")
        assert found["score"] == 1.0
        assert found["metadata"]["mode"] == "installed"
        # A machine under load may show the whole run at once: that it runs is then never seen.
        assert [status for status in statuses(running, "a") if status != "Running"] == ["Queued", "Completed"]
        assert '"mode": "installed"' in running.log()
        wait_until(lambda: not spool(running), "the job is cleared away")


def test_the_checkouts_runner_where_that_is_wished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REEV_USE_RELEASE", "false")
    with daemon(tmp_path, **prepare(tmp_path)) as running:
        run(running, "a")
        assert running.wait_for("a", "Completed")["metadata"]["mode"] == "checkout"


def test_what_was_acknowledged_runs_though_the_daemon_was_killed_right_after(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path, "done()")) as running:
        for number in range(6):
            run(running, f"k{number}")
        running.kill()
        running.start()
        for number in range(6):
            running.wait_for(f"k{number}", "Completed")
        wait_until(lambda: not spool(running), "all jobs are cleared away")


def test_so_many_at_once_and_the_rest_in_order(tmp_path: Path) -> None:
    body = STUB + f"open('{tmp_path}/began', 'a').write(id + ' ')\nuntil('{tmp_path}/go')\ndone()"
    with daemon(tmp_path, max_running=2, **prepare(tmp_path, body)) as running:
        for number in range(5):
            run(running, f"n{number}")
        for first in ("n0", "n1"):  # whichever of the two comes first
            running.wait_for(first, "Running")
        counts = running.get("/api/v1/health")["executions"]
        assert (counts["Running"], counts["Queued"]) == (2, 3)
        assert running.execution("n4")["reason"] == "queued: its runner is started as soon as a slot is free"  # type: ignore[index]
        (tmp_path / "go").touch()
        for number in range(5):
            running.wait_for(f"n{number}", "Completed")
        began = (tmp_path / "began").read_text().split()
        assert sorted(began[:2]) == ["n0", "n1"]
        assert sorted(began) == [f"n{number}" for number in range(5)]


def test_a_wait_in_the_queue_is_no_timeout(tmp_path: Path) -> None:
    body = STUB + f"if id == 'first': until('{tmp_path}/go')\ntime.sleep(0.3)\ndone()"
    settings = prepare(tmp_path, body)
    with daemon(tmp_path, max_running=1, total_seconds=1, **settings) as running:
        run(running, "first")
        run(running, "second")
        running.wait_for("first", "Timeout")  # it may not run for longer than a second
        deadline = running.execution("second")["deadline_at"]  # type: ignore[index]
        wait_until(lambda: running.execution("second")["deadline_at"] != deadline, "its deadline moves on")  # type: ignore[index]
        (tmp_path / "go").touch()
        running.wait_for("second", "Completed")


def test_a_crash_is_a_failure_and_says_what_was_complained_of(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path, "sys.exit('no such wallet: ' + 'x' * 5000 + ' the end')")) as running:
        run(running, "a")
        found = running.wait_for("a", "Failed")
        assert found["reason"].startswith("its runner ended with exit status 1 and left no result: ")
        assert found["error_message"].endswith("x the end")
        assert len(found["error_message"]) < 2200
        assert found["metadata"] == {"mode": "installed"}


def test_a_runner_that_is_killed_says_by_what(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")) as running:
        run(running, "a")
        assert "was killed by SIGKILL" in running.wait_for("a", "Failed")["reason"]


def test_a_runner_that_cannot_be_started_fails_its_run(tmp_path: Path) -> None:
    settings = prepare(tmp_path) | {"runner": tmp_path / "missing"}
    with daemon(tmp_path, **settings) as running:
        run(running, "a")
        found = running.wait_for("a", "Failed")
        assert f"could not be started: {tmp_path}/missing: No such file" in found["reason"]
        wait_until(lambda: not spool(running), "the job is cleared away")


def test_stop_ends_the_whole_process_group(tmp_path: Path) -> None:
    body = (
        STUB
        + f"child = subprocess.Popen(['sleep', '1000'])\nopen('{tmp_path}/child', 'w').write(str(child.pid))\n"
        + "child.wait()"
    )
    with daemon(tmp_path, **prepare(tmp_path, body)) as running:
        run(running, "a")
        running.wait_for("a", "Running")
        child = wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), "a child")
        status, answer = stop(running, "a")
        assert (status, answer["status"]) == (200, "Stopped")
        assert answer["reason"] == f"stopped by user {os.geteuid()}"
        wait_until(lambda: not alive(int(child)), "the child is gone too")
        status, answer = stop(running, "a")
        assert (status, answer["error"]) == (409, "conflict")
        assert "it ended as Stopped" in answer["message"]


def test_what_waits_is_stopped_and_never_starts(tmp_path: Path) -> None:
    body = f"open('{tmp_path}/began-' + id, 'w')\nuntil('{tmp_path}/go')\ndone()"
    with daemon(tmp_path, max_running=1, **prepare(tmp_path, body)) as running:
        run(running, "a")
        run(running, "b")
        assert stop(running, "b")[1]["status"] == "Stopped"
        (tmp_path / "go").touch()
        running.wait_for("a", "Completed")
        run(running, "c")
        running.wait_for("c", "Completed")
        assert not (tmp_path / "began-b").exists()
        assert running.execution("b")["status"] == "Stopped"  # type: ignore[index]


def test_what_is_not_ours_is_stopped_and_said_so(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path)) as running:
        leave(running.sessions, "x", session("x", end_time=None, final_result=None))
        running.wait_for("x", "Running")
        status, answer = stop(running, "x")
        assert (status, answer["status"]) == (200, "Stopped")
        assert "none of reevd's" in answer["reason"]
        leave(running.sessions, "x", session("x"))
        running.wait_for("x", "Completed")  # a late result wins


def test_a_runner_that_does_not_end_in_time_is_ended(tmp_path: Path) -> None:
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STUB + "time.sleep(1000)"
    with daemon(tmp_path, stop_seconds=0.3, **prepare(tmp_path, body)) as running:
        run(running, "a", timeout_seconds=0.2)
        found = running.wait_for("a", "Timeout")
        assert found["reason"] == "its runner did not end within 0.2 s"
        wait_until(lambda: not spool(running), "it was made to end", seconds=10)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_outlives_the_daemon_and_is_found_again(tmp_path: Path, how: signal.Signals) -> None:
    body = STUB + f"until('{tmp_path}/go')\nsys.exit('died at last')"
    with daemon(tmp_path, max_running=1, **prepare(tmp_path, body)) as running:
        run(running, "a")
        run(running, "b")
        running.wait_for("a", "Running")
        running.signal(how)
        running.start()
        assert "runner found again" in running.log()
        assert running.execution("b")["status"] == "Queued"  # type: ignore[index]
        (tmp_path / "go").touch()
        assert "died at last" in running.wait_for("a", "Failed")["reason"]
        running.wait_for("b", "Failed")


def test_a_runner_that_died_while_no_daemon_was_there(tmp_path: Path) -> None:
    body = STUB + f"until('{tmp_path}/go')\nopen('{tmp_path}/gone', 'w')\nsys.exit('alone')"
    with daemon(tmp_path, **prepare(tmp_path, body)) as running:
        run(running, "a")
        running.wait_for("a", "Running")
        running.kill()
        (tmp_path / "go").touch()
        wait_until((tmp_path / "gone").exists, "the runner ends")
        running.start()
        found = running.wait_for("a", "Failed")
        assert "ended while reevd was restarted" in found["reason"] or "alone" in found["reason"]


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 9)), "id: *a8"])


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/benchmarks/none/run", {"agent": "deterministic"}, 404, "GET /api/v1/benchmarks"),
        (f"/benchmarks/{CASE}/run", {"agent": "nobody"}, 400, "one of deterministic, local"),
        (f"/benchmarks/{CASE}/run", {}, 400, "agent is None"),
        (f"/benchmarks/{CASE}/run", [], 400, "no JSON object"),
        (f"/benchmarks/{CASE}/run", json.loads("[" * 300 + "]" * 300), 400, "cannot be passed on"),
        (f"/benchmarks/{CASE}/run", ["x" * 70_000], 413, "at most 65,536"),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "wait": True}, 400, "'wait', which is unknown"),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "timeout_seconds": 0}, 400, "at most 3600"),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "timeout_seconds": True}, 400, "timeout_seconds is True"),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "execution_id": "../x"}, 400, "a fresh one"),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "config": {"api_key": "k"}}, 400, "daemon's environment"),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "config": {"rpc_url": "file:///x"}}, 400, "an address such as"),
        (
            f"/benchmarks/{CASE}/run",
            {"agent": "local", "config": {"rpc_url": "http://x/\0"}},
            400,
            "an address such as",
        ),
        (f"/benchmarks/{CASE}/run", {"agent": "local", "execution_id": "known"}, 409, "give another id"),
        (f"/benchmarks/{CASE}/stop/none", None, 404, "no such execution"),
        ("/benchmarks/other/stop/known", None, 404, "no such execution"),
        (f"/benchmarks/{CASE}/stop/known", None, 409, "nothing to stop"),
        ("/upsert-yml", {"yml_content": "id: x\ntags: 7\n"}, 422, "line 2: field tags"),
        ("/upsert-yml", {"yml_content": "id: [\n"}, 422, "line 2"),
        ("/upsert-yml", {"yml_content": "id: x\n"}, 422, "line 1: field prompt: it is missing"),
        ("/upsert-yml", {"yml_content": 7}, 400, "yml_content"),
        ("/upsert-yml", {"yml_content": f"id: x\nprompt: {'x' * 1_200_000}\n"}, 422, "longer than"),
        ("/upsert-yml", {"yml_content": BOMB}, 422, "its aliases stand for"),
    ],
)
def test_refusals_say_what_to_do(refusing: Daemon, path: str, body: object, status: int, words: str) -> None:
    found, answer = refusing.request("POST", f"/api/v1{path}", body)
    assert (found, sorted(answer)) == (status, ["error", "message", "timestamp"])
    assert words in answer["message"]


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("refusing")
    with daemon(home, **prepare(home, "done()")) as running:
        leave(running.sessions, "known", session("known"))
        running.wait_for("known", "Completed")
        wait_until(lambda: "local" in running.get("/api/v1/agents"), "the runner has named its agents")
        yield running


def test_a_case_can_be_stored_and_run(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path)) as running:
        text = (ROOT / "benchmarks" / f"{CASE}.yml").read_text().replace(CASE, "my-own")
        status, answer = running.request("POST", "/api/v1/upsert-yml", {"yml_content": text})
        assert (status, answer["success"], answer["benchmark_id"]) == (200, True, "my-own")
        assert (tmp_path / "benchmarks" / "my-own.yml").read_text() == text
        assert running.request("POST", "/api/v1/benchmarks/my-own/run", {"agent": "deterministic"})[0] == 202
        wait_until(lambda: running.get("/api/v1/health")["executions"]["Completed"] == 1, "it has run")


def test_silence_does_not_end_a_run_before_its_own_timeout(tmp_path: Path) -> None:
    body = STUB + f"until('{tmp_path}/go')\ndone()"
    with daemon(tmp_path, silence_seconds=1, **prepare(tmp_path, body)) as running:
        run(running, "a")
        running.wait_for("a", "Running")
        leave(running.sessions, "foreign", session("foreign", end_time=None, final_result=None))
        running.wait_for("foreign", "Timeout")
        assert running.execution("a")["status"] == "Running"  # type: ignore[index]
        (tmp_path / "go").touch()
        found = running.wait_for("a", "Completed")
        assert [each["status"] for each in running.get("/api/v1/executions/a/history")] == [
            "Queued", "Running", "Completed",
        ]  # fmt: skip
        assert found["score"] == 1.0


def test_secrets_of_the_environment_stay_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REEV_LOCAL_API_KEY", SECRET)
    body = (
        "key = os.environ['REEV_LOCAL_API_KEY']\n"
        "if id == 'b': sys.exit(key + '.' * 1980)\n"
        "sys.exit('refused: the key ' + key + ' is not known')"
    )
    with daemon(tmp_path, **prepare(tmp_path, body)) as running:
        run(running, "b")
        reason = running.wait_for("b", "Failed")["reason"]
        assert SECRET[-10:] not in reason, "half of it stood at the cut"
        assert "_API_KEY]....." in reason
        run(running, "a")
        found = running.wait_for("a", "Failed")
        assert "the key [REEV_LOCAL_API_KEY] is not known" in found["reason"]
        wait_until(lambda: not spool(running), "the job is cleared away")
        with closing(apsw.Connection(str(running.database))) as db:
            assert SECRET not in json.dumps(db.execute("SELECT * FROM execution_states").fetchall())
        for path in tmp_path.rglob("*"):
            if path.is_file() and not path.is_socket():
                assert SECRET.encode() not in path.read_bytes(), path


def test_a_spool_that_cannot_be_written_refuses_and_recovers(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path, "done()")) as running:
        folder = running.database.parent / "spool"
        folder.rename(folder.with_name("away"))
        status, answer = running.request("POST", RUN, {"agent": "deterministic", "execution_id": "a"})
        assert (status, answer["error"]) == (503, "not ready")
        assert running.execution("a") is None
        folder.with_name("away").rename(folder)
        run(running, "a")
        running.wait_for("a", "Completed")


def test_neither_descriptors_nor_zombies_are_left(tmp_path: Path) -> None:
    with daemon(tmp_path, **prepare(tmp_path, "done()")) as running:
        assert running.process is not None
        folder = Path(f"/proc/{running.process.pid}")
        run(running, "warm")
        running.wait_for("warm", "Completed")
        wait_until(lambda: not spool(running), "the job is cleared away")
        before = len(os.listdir(folder / "fd"))
        for number in range(12):
            run(running, f"n{number}")
        wait_until(lambda: not spool(running), "all jobs are cleared away")
        # What looks at the database now and then opens it meanwhile.
        wait_until(lambda: len(os.listdir(folder / "fd")) <= before, "no more descriptors than before are open")
        children = folder / "task" / str(running.process.pid) / "children"
        wait_until(lambda: len(children.read_text().split()) == 1, "the server is the only child")


def ctl(running: Daemon, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reevd.ctl", "--socket", str(running.socket), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_reevctl_runs_waits_and_stops(tmp_path: Path) -> None:
    body = STUB + f"if id == 'slow': until('{tmp_path}/go')\nif id == 'bad': sys.exit(1)\ndone()"
    with daemon(tmp_path, **prepare(tmp_path, body)) as running:
        assert ctl(running, "run", CASE, "--id", "good", "--wait").returncode == 0
        assert ctl(running, "run", CASE, "--id", "bad", "--wait").returncode == 1
        assert ctl(running, "run", "none").returncode == 4
        assert ctl(running, "run", CASE, "--agent", "../x").returncode == 2
        done = ctl(running, "run", CASE, "--id", "slow")
        assert (done.returncode, done.stdout) == (0, "slow\n")
        began = time.monotonic()
        assert ctl(running, "wait", "slow", "--timeout", "0.2").returncode == 124
        assert time.monotonic() - began < 5
        done = ctl(running, "stop", "slow")
        assert (done.returncode, done.stdout) == (0, f"■ Stopped  slow\n  why   stopped by user {os.geteuid()}\n")
        assert ctl(running, "wait", "slow").returncode == 1
        assert ctl(running, "stop", "slow").returncode == 1
        assert ctl(running, "stop", "none").returncode == 4
