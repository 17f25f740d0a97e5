"""reev-runner as a process: the four cases, and every way in which a run can end."""

import ctypes
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests import forked
from tests.harness import ROOT

CASES = ROOT / "benchmarks"
FIRST = CASES / "001-sol-transfer.yml"
F_OFD_GETLK, FLOCK = 36, struct.Struct("hhqqi4x")
DEADLINE = 30.0
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def environment(**settings):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("REEV", "OTEL"))}
    return kept | {"PYTHONPATH": str(ROOT)} | settings


def run(*arguments, cwd=ROOT, **settings):
    return forked.run(*arguments, cwd=cwd, environ=environment(**settings))


def start(*arguments, cwd=None, preexec=None, **settings):
    """As a shell does it, for what depends on how Python is started."""
    command = [sys.executable, "-P", "-m", "runner", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**settings), capture_output=True, text=True, timeout=60, preexec_fn=preexec
    )


def run_ours(agent, folder, *arguments, **settings):
    return run(FIRST, "--agent", agent, "--sessions-dir", folder, *arguments, **settings)


def started(folder, *arguments, case=FIRST, **settings):
    """A run with the patient agent, as execution `x` where the case is a single one."""
    words = [case, "--agent", "patient", "--sessions-dir", folder, *(["--execution-id", "x"] if case.is_file() else [])]
    return forked.start(*words, *arguments, environ=environment(**settings))


def wait_for(condition, process=None):
    limit = time.monotonic() + DEADLINE
    while not (found := condition()):
        if process is not None and process.poll() is not None:
            pytest.fail(f"the runner ended with {process.returncode}: {process.said()[1]}")
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.002)
    return found


def session(folder, execution_id="x"):
    return json.loads((folder / f"session_{execution_id}.json").read_bytes())


def only_session(folder):
    (path,) = folder.glob("session_*.json")
    return json.loads(path.read_bytes())


def lines(folder, name="enhanced_otel_x.jsonl"):
    path = folder / name
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]] if path.exists() else []


def lock_is_held(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return FLOCK.unpack(fcntl.fcntl(descriptor, F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK
    finally:
        os.close(descriptor)


def waiting(folder):
    return lambda: len(lines(folder)) == 3


def step(document):
    (only,) = document["final_result"]["data"]["steps"]
    return only


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The four cases, run once as a folder."""
    path = tmp_path_factory.mktemp("cases")
    cases = path / "benchmarks"
    cases.mkdir()
    for number in ("001", "002", "003", "004"):
        (file,) = CASES.glob(f"{number}-*.yml")
        (cases / file.name).write_bytes(file.read_bytes())
    ended = start(cases, "--sessions-dir", path, "--json")
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr == ""
    *runs, last = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [row["benchmark_id"][:3] for row in last["summary"]] == ["001", "002", "003", "004"]
    return {each["benchmark_id"][:3]: (each, session(path, each["execution_id"])) for each in runs}


def test_001_moves_lamports(folder):
    told, document = folder["001"]
    states = step(document)["observation"]["account_states"]
    assert (states["USER_WALLET_PUBKEY"]["lamports"], states["RECIPIENT_WALLET_PUBKEY"]["lamports"]) == (
        899_995_000,
        100_000_000,
    )
    assert step(document)["observation"]["last_transaction_logs"] == [
        "Program 11111111111111111111111111111111 invoke [1]",
        "Program 11111111111111111111111111111111 success",
    ]
    final = document["final_result"]
    assert (final["success"], final["score"], final["status"], final["error"]) == (True, 1.0, "Succeeded", None)
    assert (told["success"], told["score"], told["exit_status"]) == (True, 1.0, 0)
    assert [verdict["passed"] for verdict in document["metadata"]["assertions"]] == [True, True]


def test_002_moves_tokens(folder):
    _, document = folder["002"]
    states = step(document)["observation"]["account_states"]
    assert (states["USER_USDC_ATA"]["amount"], states["RECIPIENT_USDC_ATA"]["amount"]) == (35_000_000, 15_000_000)
    assert states["USER_USDC_ATA"]["mint"] == "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    assert (document["final_result"]["success"], document["final_result"]["score"]) == (True, 1.0)
    assert document["final_result"]["tools"][0]["tool_name"] == "spl_transfer"


def test_003_fails_with_the_chains_own_error(folder):
    told, document = folder["003"]
    observation, final = step(document)["observation"], document["final_result"]
    error = "Error processing Instruction 0: custom program error: 0x1 (InstructionError(0, Custom(1)))"
    assert (final["success"], final["score"], final["status"]) == (False, 0.75, "Failed")
    assert final["error"] == {"kind": "transaction", "message": error} == told["error"]
    assert (observation["last_transaction_status"], observation["last_transaction_error"]) == ("Failure", error)
    assert "Program log: Error: insufficient funds" in observation["last_transaction_logs"]
    assert observation["account_states"]["USER_USDC_ATA"]["amount"] == 10_000_000
    assert all(verdict["passed"] for verdict in document["metadata"]["assertions"])


def test_004_says_which_parts_were_missed(folder):
    _, document = folder["004"]
    final, judged = document["final_result"], document["metadata"]["score"]
    assert (final["success"], final["score"]) == (True, 0.5)
    assert {part["what"].partition(".")[2]: part["matched"] for part in judged["parts"]} == {
        "program_id": True,
        "accounts[0]": True,
        "accounts[1]": False,
        "accounts[2]": False,
        "accounts[3]": False,
        "data": False,
    }
    assert judged["parts"][4]["got"] is None
    assert (judged["onchain"], judged["instructions"]) == (1.0, pytest.approx(2 / 6))
    assert all(verdict["passed"] for verdict in document["metadata"]["assertions"])


@pytest.mark.parametrize("case", ["001", "002", "003", "004"])
def test_the_files_have_the_documented_shape(folder, case):
    told, document = folder[case]
    assert set(document) == {
        "session_id",
        "benchmark_id",
        "agent_type",
        "start_time",
        "end_time",
        "events",
        "final_result",
        "metadata",
    }
    assert document["session_id"] == told["execution_id"]
    assert document["agent_type"] == "deterministic"
    assert type(document["start_time"]) is type(document["end_time"]) is int
    assert [event["event_type"] for event in document["events"]] == [
        "SessionStart",
        "ToolCall",
        "ToolResult",
        "TransactionExecution",
        *(["Error"] if told["error"] else []),
        "SessionEnd",
    ]
    assert set(step(document)) == {"thought", "action", "observation", "info"}
    metadata = document["metadata"]
    assert (metadata["chain"], metadata["liveness"], metadata["mode"]) == ("litesvm", "ofd-lock", "checkout")
    assert (metadata["timeout_seconds"], metadata["steps_total"]) == (300.0, 1)
    events = lines(Path(told["otel_file"]).parent, Path(told["otel_file"]).name)
    assert [event["event_type"] for event in events] == ["Prompt", "ToolInput", "ToolOutput", "StepComplete"]
    for event in events:
        assert list(event) == [
            "timestamp",
            "session_id",
            "reev_runner_version",
            "reev_agent_version",
            "event_type",
            "prompt",
            "tool_input",
            "tool_output",
            "timing",
            "metadata",
        ]
        assert set(event["timing"]) == {"flow_timeuse_ms", "step_timeuse_ms"}
        assert event["session_id"] == told["execution_id"]
        assert RFC3339.fullmatch(event["timestamp"])
    assert events[0]["metadata"] == {"liveness": "ofd-lock"}
    assert events[0]["prompt"]["user_prompt"] == document["final_result"]["data"]["prompt"]
    assert events[0]["prompt"]["final_prompt"] is None, "no model was told anything"
    assert events[1]["tool_input"]["tool_args"] == document["final_result"]["tools"][0]["params"]
    assert events[2]["tool_output"]["results"] == document["final_result"]["tools"][0]["result"]
    assert events[2]["timing"]["step_timeuse_ms"] > 0
    assert events[3]["metadata"] == {"step_name": "step_1", "status": told["status"]}
    (call,) = document["final_result"]["tools"]
    took = datetime.fromisoformat(call["end_time"]) - datetime.fromisoformat(call["start_time"])
    assert took.total_seconds() * 1000 == pytest.approx(events[2]["timing"]["step_timeuse_ms"], abs=0.01)


def test_a_run_is_seen_from_its_start_and_its_telemetry_live(tmp_path):
    with started(tmp_path) as process:
        wait_for(waiting(tmp_path), process)
        stub = session(tmp_path)
        assert (stub["final_result"], stub["end_time"]) == (None, None)
        assert (stub["benchmark_id"], stub["agent_type"]) == ("001-sol-transfer", "patient")
        assert stub["metadata"]["pid"] == process.pid
        assert set(stub["metadata"]) == {
            "runner",
            "runner_version",
            "pid",
            "chain",
            "liveness",
            "timeout_seconds",
            "mode",
            "steps_total",
        }
        assert lock_is_held(tmp_path / "enhanced_otel_x.jsonl")
        process.stdin.write(b".")
        wait_for(lambda: len(lines(tmp_path)) == 7, process)
        refused = [event["tool_output"] for event in lines(tmp_path) if event["event_type"] == "ToolOutput"][1:]
        assert [output["success"] for output in refused] == [False, False]
        assert "'NOBODY' is neither" in refused[0]["error_message"]
        assert "there is no tool no_such_tool" in refused[1]["error_message"]
        assert session(tmp_path)["final_result"] is None
        process.stdin.close()
        assert process.wait(DEADLINE) == 0
    assert not lock_is_held(tmp_path / "enhanced_otel_x.jsonl")
    final = session(tmp_path)["final_result"]
    assert (final["success"], final["score"]) == (True, 1.0)
    assert [call["status"] for call in final["tools"]] == ["success", "error", "error", "success"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_and_the_session_says_so(tmp_path, number):
    with started(tmp_path) as process:
        wait_for(waiting(tmp_path), process)
        process.send_signal(number)
        assert process.wait(DEADLINE) == 130
        assert "Traceback" not in process.said()[1]
    document = session(tmp_path)
    final = document["final_result"]
    assert (final["success"], final["score"], final["status"]) == (False, 0.0, "Failed")
    assert final["error"] == {"kind": "interrupted", "message": f"the run was interrupted by {number.name}"}
    assert document["end_time"] >= document["start_time"]
    assert document["metadata"]["score"] is None
    assert [call["tool_name"] for call in final["tools"]] == ["get_account_balance"]
    assert [line["event_type"] for line in lines(tmp_path)] == ["Prompt", "ToolInput", "ToolOutput", "StepComplete"]
    assert lines(tmp_path)[-1]["metadata"] == {"step_name": "step_1", "status": "Failed"}
    assert not lock_is_held(tmp_path / "enhanced_otel_x.jsonl")


def test_further_signals_tear_nothing(tmp_path):
    with started(tmp_path) as process:
        wait_for(waiting(tmp_path), process)
        limit = time.monotonic() + DEADLINE
        while process.poll() is None and time.monotonic() < limit:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.0005)  # a storm without a pause would leave the process no time for anything else
        stderr = process.said()[1]
    # The files stand before Python gives the signals back; after that one may still end the process its own way.
    assert process.returncode in (130, -signal.SIGINT, -signal.SIGTERM), stderr
    assert session(tmp_path)["final_result"]["error"]["kind"] == "interrupted"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["enhanced_otel_x.jsonl", "session_x.json"]
    assert all(line["session_id"] == "x" for line in lines(tmp_path))


def test_the_time_limit_ends_a_run_that_waits(tmp_path):
    with started(tmp_path, "--timeout", "0.5") as process:
        assert process.wait(DEADLINE) == 124
    final = session(tmp_path)["final_result"]
    assert final["error"] == {"kind": "timeout", "message": "the run took longer than its limit of 0.5 s"}
    assert (final["success"], final["score"], final["status"]) == (False, 0.0, "Failed")
    assert 500 <= final["execution_time_ms"] < 10_000


@pytest.mark.parametrize("limit", ["0.2", "0.25", "0.3"])
def test_the_time_limit_ends_a_run_that_is_busy_and_swallows_exceptions(tmp_path, limit):
    ended = run_ours("busy", tmp_path, "--timeout", limit, "--execution-id", "x")
    assert ended.returncode == 124, ended.stderr
    final = session(tmp_path)["final_result"]
    assert final["error"]["kind"] == "timeout"
    outputs = [line["tool_output"] for line in lines(tmp_path) if line["event_type"] == "ToolOutput"]
    assert len(outputs) > 10
    assert [output["results"] for output in outputs] == [call["result"] for call in final["tools"]]
    assert [output["success"] for output in outputs] == [call["status"] == "success" for call in final["tools"]]
    assert len(lines(tmp_path)) == 2 + 2 * len(outputs)


def test_an_interrupted_folder_starts_no_further_case(tmp_path):
    with started(tmp_path, case=CASES) as process:
        (first,) = wait_for(lambda: list(tmp_path.glob("enhanced_otel_*.jsonl")), process)
        process.stdin.write(b"..")
        (second,) = wait_for(lambda: set(tmp_path.glob("enhanced_otel_*.jsonl")) - {first}, process)
        wait_for(lambda: lock_is_held(second), process)  # the lock comes just after the file
        assert not lock_is_held(first)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
    sessions = [json.loads(path.read_bytes()) for path in tmp_path.glob("session_*.json")]
    ends = {each["benchmark_id"]: each["final_result"]["error"] for each in sessions}
    assert set(ends) == {"001-sol-transfer", "002-spl-transfer"}
    assert ends["001-sol-transfer"] is None
    assert ends["002-spl-transfer"]["kind"] == "interrupted"


def test_the_time_limit_holds_from_the_very_start(tmp_path):
    ended = run(FIRST, "--sessions-dir", tmp_path, "--timeout", "0.0001")
    assert ended.returncode == 124, ended.stderr
    assert only_session(tmp_path)["final_result"]["error"]["kind"] == "timeout"


def test_an_unexpected_error_is_in_the_session_file(tmp_path):
    ended = run_ours("broken", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: KeyError")
    document = only_session(tmp_path)
    final = document["final_result"]
    assert final["error"] == {"kind": "internal", "message": 'KeyError: "the agent\'s mistake"'}
    assert (final["success"], final["score"], final["status"]) == (False, 0.0, "Failed")
    assert "Traceback" in document["events"][-3]["data"]["traceback"]


def test_an_agent_that_proposes_nothing_has_failed(tmp_path):
    ended = run_ours("idle", tmp_path)
    assert ended.returncode == 1
    final = only_session(tmp_path)["final_result"]
    assert (final["success"], final["score"]) == (False, 0.0)
    assert final["error"] == {"kind": "agent", "message": "the agent proposed no instruction"}


def test_an_agent_whose_call_was_refused_is_told_so(tmp_path):
    assert run_ours("clumsy", tmp_path).returncode == 1
    said = only_session(tmp_path)["final_result"]["error"]["message"]
    assert said.startswith("the agent proposed no instruction; the last call that was refused: sol_transfer: argument")


def test_a_result_for_which_there_is_no_room_is_told(tmp_path):
    ended = run_ours("squeezed", tmp_path, REEV_ENHANCED_OTEL="0")
    assert ended.returncode == 1
    assert "writing the session file" in ended.stderr
    assert "What it would have said: Succeeded, score 1" in ended.stderr
    assert only_session(tmp_path)["final_result"] is None
    assert not list(tmp_path.glob(".*"))


def test_a_killed_runner_leaves_no_result_and_a_free_lock_and_its_id_can_be_used_again(tmp_path):
    with started(tmp_path) as process:
        wait_for(waiting(tmp_path), process)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
    assert session(tmp_path)["final_result"] is None
    assert not lock_is_held(tmp_path / "enhanced_otel_x.jsonl")
    ended = run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x")
    assert ended.returncode == 0, ended.stderr
    assert session(tmp_path)["final_result"]["success"] is True
    assert [line["event_type"] for line in lines(tmp_path)] == ["Prompt", "ToolInput", "ToolOutput", "StepComplete"]


@pytest.mark.parametrize("other", [{}, {"REEV_ENHANCED_OTEL": "0"}, {"REEV_ENHANCED_OTEL_FILE": "{home}/else.jsonl"}])
def test_an_id_that_is_running_is_refused(tmp_path, other):
    home = tmp_path / "sessions"
    other = {name: value.replace("{home}", str(tmp_path)) for name, value in other.items()}
    with started(home, **other) as process:
        wait_for((home / "session_x.json").exists, process)
        before = [(path.name, path.read_bytes()) for path in sorted(home.iterdir())]
        for settings in ({}, {"REEV_ENHANCED_OTEL": "0"}):
            ended = run(FIRST, "--sessions-dir", home, "--execution-id", "x", **settings)
            assert ended.returncode == 2
            assert "claiming the execution id x: another run goes by it" in ended.stderr
        if other:  # else the first one's telemetry goes on meanwhile
            assert [(path.name, path.read_bytes()) for path in sorted(home.iterdir())] == before
        process.stdin.close()
        assert process.wait(DEADLINE) == 0
    assert not list(home.glob(".*"))


def test_a_result_is_never_overwritten(tmp_path):
    assert run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x").returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ended = run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x")
    assert ended.returncode == 2
    assert "holds a result already" in ended.stderr
    assert "Try: " in ended.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "enhanced_otel_x.jsonl").unlink()
    assert run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x").returncode == 2
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"session_x.json": before["session_x.json"]}


def test_telemetry_can_be_turned_off(tmp_path):
    ended = run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x", REEV_ENHANCED_OTEL="0")
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["session_x.json"]
    document = session(tmp_path)
    assert document["metadata"]["liveness"] is None
    assert [call["tool_name"] for call in document["final_result"]["tools"]] == ["sol_transfer"]


def test_telemetry_can_go_elsewhere(tmp_path):
    sessions, there = tmp_path / "sessions", tmp_path / "there"
    setting = f"{there}/t_{{session_id}}.jsonl"
    ended = run(FIRST, "--sessions-dir", sessions, "--execution-id", "x", REEV_ENHANCED_OTEL_FILE=setting)
    assert ended.returncode == 0, ended.stderr
    assert lines(there, "t_x.jsonl")[0]["event_type"] == "Prompt"
    assert [path.name for path in sessions.iterdir()] == ["session_x.json"]
    assert session(sessions)["metadata"]["liveness"] is None, "a reader of the folder cannot find that lock"


def test_telemetry_that_cannot_be_written_fails_the_run(tmp_path):
    ended = run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x", REEV_ENHANCED_OTEL_FILE="/dev/full")
    assert ended.returncode == 1
    error = session(tmp_path)["final_result"]["error"]
    assert error["kind"] == "internal"
    assert "No space left on device" in error["message"]


def test_settings_of_the_telemetry_library_do_not_cut_the_lines(tmp_path):
    settings = {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "5"}
    settings |= {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "5", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1"}
    ended = start(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x", **settings)
    assert ended.returncode == 0, ended.stderr
    assert [line["event_type"] for line in lines(tmp_path)] == ["Prompt", "ToolInput", "ToolOutput", "StepComplete"]


def test_secrets_of_the_environment_stay_out_of_the_files(tmp_path):
    ended = run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "x", ZAI_API_KEY="s3cr3t-in-the-environment")
    assert ended.returncode == 0
    assert all(b"s3cr3t" not in path.read_bytes() for path in tmp_path.iterdir())


def test_no_settings_are_needed(tmp_path):
    ended = start(FIRST, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    document = only_session(tmp_path / "logs" / "sessions")
    assert document["final_result"]["success"] is True
    assert f"session_{document['session_id']}.json" in ended.stdout
    assert "001-sol-transfer: Succeeded, score 1" in ended.stdout


def test_where_the_sessions_go(tmp_path):
    flag, variable = tmp_path / "flag", tmp_path / "variable"
    assert run(FIRST, "--quiet", cwd=tmp_path, REEV_SESSIONS_DIR=str(variable)).stdout == ""
    assert only_session(variable)
    assert run(FIRST, "--sessions-dir", flag, cwd=tmp_path, REEV_SESSIONS_DIR=str(variable)).returncode == 0
    assert only_session(flag)
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".x", "-x", "x\n", "x y", "é", "a" * 129])
def test_ids_that_are_refused(tmp_path, name):
    ended = run(FIRST, "--sessions-dir", tmp_path / "s", f"--execution-id={name}")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: ")
    assert not (tmp_path / "s").exists()


def test_the_longest_id(tmp_path):
    assert run(FIRST, "--sessions-dir", tmp_path, "--execution-id", "a" * 128).returncode == 0
    assert session(tmp_path, "a" * 128)["final_result"]["success"] is True


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "PATH"),
        ([FIRST, "--agent", "nobody"], 2, "one of: deterministic"),
        ([FIRST, "--timeout", "0"], 2, "at most 3600"),
        ([FIRST, "--timeout", "3601"], 2, "at most 3600"),
        ([FIRST, "--timeout", "nan"], 2, "at most 3600"),
        ([FIRST, "--timeout", "soon"], 2, "invalid float"),
        ([FIRST, "--quiet", "--json"], 2, "not allowed with"),
        ([FIRST, "--colour"], 2, "--colour"),
        ([CASES, "--execution-id", "x"], 2, "each gets an id of its own"),
        ([CASES / "999.yml"], 2, "no such file"),
        ([FIRST, "--sessions-dir", "/dev/null/x"], 2, "making the sessions folder"),
    ],
)
def test_what_the_command_line_refuses(tmp_path, arguments, status, said):
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == status
    assert ended.stdout == ""
    assert ended.stderr.startswith("Error: ")
    assert "\nTry: " in ended.stderr
    assert said in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_case_that_is_not_valid_is_told_with_its_place(tmp_path):
    case = tmp_path / "bad.yml"
    case.write_text(FIRST.read_text().replace("lamports: 1000000000", "lamports: many"))
    line = case.read_text()[: case.read_text().index("lamports: many")].count("\n") + 1
    ended = run(case, "--sessions-dir", tmp_path / "s")
    assert ended.returncode == 2
    assert f"bad.yml:{line} initial_state[0].lamports: it must be an integer" in ended.stderr
    assert list((tmp_path).glob("s/*")) == []


def test_a_chain_that_is_not_there_is_refused_in_the_session_as_well(tmp_path):
    ended = run(FIRST, "--sessions-dir", tmp_path, "--rpc-url", "http://127.0.0.1:8899")
    assert ended.returncode == 3
    assert "Try: start a fork with `surfpool start`" in ended.stderr
    document = only_session(tmp_path)
    assert document["metadata"]["chain"] == "rpc"
    assert document["final_result"]["error"]["kind"] == "chain"


def test_a_folder_whose_cases_fail_in_different_ways_has_failed(tmp_path):
    (tmp_path / "1.yml").write_text(FIRST.read_text() + "needs: [mainnet]\n")
    (tmp_path / "2.yml").write_text((CASES / "003-spl-transfer-fail.yml").read_text())
    assert run(tmp_path, "--sessions-dir", tmp_path / "s").returncode == 1
    (tmp_path / "2.yml").unlink()
    assert run(tmp_path, "--sessions-dir", tmp_path / "s").returncode == 3


def forbid_executable_memory():
    ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN


@pytest.mark.skipif(ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0, reason="the kernel has no PR_SET_MDWE")
def test_a_sandbox_without_executable_memory_is_told(tmp_path):
    ended = start(FIRST, "--sessions-dir", tmp_path, preexec=forbid_executable_memory)
    assert ended.returncode == 3, ended.stderr
    assert "may not make memory executable" in ended.stderr
    assert "panicked" not in ended.stderr
    assert only_session(tmp_path)["final_result"]["error"]["kind"] == "chain"


def test_the_version_and_the_help():
    assert start("--version").stdout.startswith("reev-runner 0.")
    told = start("--help")
    assert (told.returncode, "--sessions-dir" in told.stdout) == (0, True)


@pytest.mark.parametrize("lint", [False, True])
def test_a_reader_that_leaves_is_no_error(tmp_path, lint):
    words = ["lint", FIRST] if lint else [FIRST, "--sessions-dir", tmp_path]
    command = [sys.executable, "-P", "-m", "runner", *map(str, words)]
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(command, env=environment(), stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        assert process.stderr.read() == b""
    assert process.returncode == 1
    assert lint or only_session(tmp_path)["final_result"]["success"] is True


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [(">&-", 0, ""), (">/dev/full", 1, "Error: writing to standard output: No space left on device\nTry: ")],
)
def test_output_for_which_there_is_no_room_spoils_no_run(tmp_path, redirection, status, said):
    words = [sys.executable, "-P", "-m", "runner", str(FIRST), "--sessions-dir", str(tmp_path)]
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *words]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == status
    assert ended.stderr.startswith(said)
    assert "Traceback" not in ended.stderr
    assert "Exception" not in ended.stderr
    assert only_session(tmp_path)["final_result"]["success"] is True


def test_output_without_unicode(tmp_path):
    ended = start(FIRST, "--sessions-dir", tmp_path / "é", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("ok 001-sol-transfer: Succeeded")
    assert "/\\xe9/session_" in ended.stdout


@pytest.mark.parametrize("mode", [["--json"], []])
def test_a_folder_whose_name_is_no_utf_8(tmp_path, mode):
    ended = run(FIRST, "--sessions-dir", os.fsdecode(os.fsencode(tmp_path) + b"/\xff"), *mode)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\udcff" in (json.loads(ended.stdout)["session_file"] if mode else ended.stdout)


def test_a_case_can_come_through_a_pipe_and_a_signal_ends_the_waiting_for_it(tmp_path):
    command = [sys.executable, "-P", "-m", "runner", "/dev/stdin", "--sessions-dir", str(tmp_path / "s")]
    settings = {"env": environment(), "stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True}
    settings["stderr"] = subprocess.PIPE
    with subprocess.Popen(command, **settings) as process:
        process.communicate(FIRST.read_text(), timeout=DEADLINE)
        assert process.returncode == 0
    with subprocess.Popen(command, **settings) as process:
        wait_for(lambda: reads_pipe(process.pid), process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 130
        assert process.stderr.read() == "Error: the run was interrupted by SIGTERM\n"
    assert len(list((tmp_path / "s").glob("session_*"))) == 1


def reads_pipe(pid):
    """Whether it has opened its standard input a second time, under its name."""
    links = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed meanwhile
            links.append(os.readlink(path))
    return sum(link.startswith("pipe:") for link in links) > 2
