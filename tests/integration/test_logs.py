"""The endpoints of traces and logs: their fields, whom they choose, what they refuse, what they bear."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import apsw
import pytest
import yaml

from reevd.api import logs
from reevd.bounds import Pace
from reevd.engine import Engine
from tests.asgi import ask
from tests.harness import ROOT, leave, session
from tests.unit.test_fixtures import SettledClock

API = "/api/v1"
TRACE = {"benchmark_id", "execution_id", "agent_type", "interface", "status", "final_status", "trace", "is_running",
         "progress", "message"}  # fmt: skip
SESSION = {"session_id", "agent_type", "interface", "status", "score", "final_status", "log_content", "is_running",
           "message"}  # fmt: skip
LOGGED = {"benchmark_id", "execution_id", "transaction_logs", "format", "message"}
ODD = "\x1b[31m?a=b&c#d%\u202e"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of each kind, a flow, a hundred of one case; one is queued, as no file says."""
    home = tmp_path_factory.mktemp("logs")
    sessions, path = home / "sessions", str(home / "db")
    engine = Engine(str(sessions), path, clock=SettledClock(), pace=Pace(rescan=3600))
    for fixture in ("a-flow-that-fails", "recorded-003-spl-transfer-fail"):
        for file in (ROOT / "fixtures" / "sessions" / fixture).glob("*_*.json*"):
            shutil.copyfile(file, sessions / file.name)
    runs: dict[str, dict[str, Any]] = {
        "live": {"end_time": None, "final_result": None, "start_time": 1_770_000_000},
        "waits": {"end_time": None, "final_result": None, "benchmark_id": "waits"},
        "bare": {"final_result": {"success": False, "score": 0}, "benchmark_id": "bare"},
        "closed": {"final_result": None, "benchmark_id": "closed"},
        "odd": {"benchmark_id": ODD, "metadata": {"interface": {"no": "text"}}},
        **{f"n{number:02d}": {"benchmark_id": "many", "start_time": 1_760_000_000 + number} for number in range(25)},
    }
    for execution_id, fields in runs.items():
        leave(sessions, execution_id, session(execution_id, **fields))
    line = {"event_type": "ToolInput", "tool_input": {"tool_name": "sol_transfer", "tool_args": {"amount": 5}}}
    huge = {"event_type": "ToolInput", "tool_input": {"tool_name": "huge", "tool_args": {"x": "y" * 300_000}}}
    lines = [line, huge, *[line] * 250]
    (sessions / "enhanced_otel_live.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    engine.settle()
    engine.close()
    with apsw.Connection(path) as db:
        db.execute("UPDATE execution_states SET status = 'Queued' WHERE execution_id = 'waits'")
    db.close()
    return path


def get(database: str, path: str) -> Any:
    ((status, answer),) = ask(database, f"{API}{path}")
    assert status == 200, answer
    return answer


def test_a_trace_has_the_fields_that_were_agreed(database: str) -> None:
    found = get(database, "/execution-logs/003-spl-transfer-fail")
    assert set(found) == TRACE
    assert found.pop("trace").startswith("✘ 003-spl-transfer-fail (Score: 75.0%): Failed\n├─ why: Error processing")
    assert found == {
        "benchmark_id": "003-spl-transfer-fail",
        "execution_id": "recorded-003-spl-transfer-fail",
        "agent_type": "deterministic",
        "interface": "reev-runner",
        "status": "Failed",
        "final_status": "Failed",
        "is_running": False,
        "progress": 1.0,
        "message": "1 step",
    }


def test_the_newest_is_chosen_unless_one_is_named(database: str) -> None:
    assert get(database, "/execution-logs/many")["execution_id"] == "n24"
    assert get(database, "/execution-logs/many?execution_id=n07")["execution_id"] == "n07"
    assert get(database, "/transaction-logs/many")["execution_id"] == "n24"
    assert get(database, "/transaction-logs/many?execution_id=n07")["execution_id"] == "n07"


def test_a_run_that_goes_on_shows_what_is_known(database: str) -> None:
    found = get(database, "/execution-logs/001-sol-transfer")
    assert (found["execution_id"], found["status"], found["final_status"]) == ("live", "Running", None)
    assert (found["is_running"], found["message"]) == (True, "it runs; known so far: 200 tool calls")
    lines = found["trace"].splitlines()
    assert lines.count("│  │  └─ parameters: amount=5") == 199
    assert "│  │  └─ parameters: (300,008 bytes of JSON: too long to be shown)" in lines
    assert lines[-1] == "└─ … and 52 more tool calls: see its tool calls"


@pytest.mark.parametrize(
    ("benchmark", "trace", "transactions"),
    [
        ("waits", "it waits for its start: there is nothing to trace yet",
         "it waits for its start: there are no transactions yet"),
        ("001-sol-transfer", None, "it runs: logs of its transactions come with its result"),
        ("bare", "it ended without a trace: its result holds no steps, and no tool calls are known",
         "it ended without logs: it has no steps"),
        ("closed", "it ended without a trace: it left no result, and no tool calls are known",
         "it ended without logs: it has no steps"),
    ],
)  # fmt: skip
def test_what_has_no_trace_says_why(database: str, benchmark: str, trace: str | None, transactions: str) -> None:
    found, logged = get(database, f"/execution-logs/{benchmark}"), get(database, f"/transaction-logs/{benchmark}")
    if trace:
        assert found["message"] == trace
        assert trace in found["trace"]
    assert (logged["message"], logged["transaction_logs"]) == (transactions, "")
    (one,) = [
        s for s in get(database, f"/flow-logs/{benchmark}")["sessions"] if s["session_id"] == found["execution_id"]
    ]
    assert one["log_content"] == found["trace"]


def test_transaction_logs(database: str) -> None:
    where = "/transaction-logs/200-jup-swap-then-lend-deposit"
    found = get(database, where)
    assert set(found) == LOGGED
    assert (found["execution_id"], found["format"], found["message"]) == ("flow-fails", "yaml", "the logs of 3 steps")
    steps = yaml.safe_load(found["transaction_logs"])
    assert [step["status"] for step in steps] == ["Success", "Failure", "Failure"]
    assert [call["program"] for call in steps[0]["log"]][:3] == ["Compute Budget", "Compute Budget", "System"]
    assert "consumed" not in found["transaction_logs"]
    with_units = yaml.safe_load(get(database, f"{where}?show_cu=true")["transaction_logs"])
    assert (with_units[1]["log"][0]["consumed"], with_units[1]["log"][0]["of"]) == (96_000, 200_000)
    plain = get(database, f"{where}?format=plain&show_cu=1")
    assert plain["format"] == "plain"
    assert "[1], 96,000 of 200,000 units" in plain["transaction_logs"]


def test_flow_logs_are_newest_first_and_go_on(database: str) -> None:
    found = get(database, "/flow-logs/many?limit=10")
    assert set(found) == {"benchmark_id", "sessions", "next_cursor"}
    assert set(found["sessions"][0]) == SESSION
    ids = [one["session_id"] for one in found["sessions"]]
    while found["next_cursor"]:
        found = get(database, f"/flow-logs/many?limit=10&cursor={found['next_cursor']}")
        ids += [one["session_id"] for one in found["sessions"]]
    assert ids == [f"n{number:02d}" for number in reversed(range(25))]
    assert len(get(database, "/flow-logs/many")["sessions"]) == 25


def test_flow_logs_stop_where_they_are_long(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 300)
    found = get(database, "/flow-logs/many")
    assert 0 < len(found["sessions"]) < 5
    assert found["next_cursor"]


def test_names_are_taken_as_they_are(database: str) -> None:
    found = get(database, f"/execution-logs/{quote(ODD, safe='')}")
    assert (found["execution_id"], found["benchmark_id"], found["interface"]) == ("odd", ODD, "unknown")
    assert found["trace"].startswith("✔ \\x1b[31m?a=b&c#d%\\u202e (Score")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((f"/{name}/nix", 404) for name in ("execution-logs", "flow-logs", "transaction-logs")),
        ("/execution-logs/many?execution_id=nix", 404),
        ("/execution-logs/many?execution_id=live", 404),
        ("/execution-logs/many?execution_id=", 404),
        ("/transaction-logs/many?execution_id=live", 404),
        ("/transaction-logs/many?format=html", 400),
        ("/transaction-logs/nix?format=html", 400),
        ("/transaction-logs/many?show_cu=perhaps", 400),
        ("/flow-logs/many?limit=0", 400),
        ("/flow-logs/many?cursor=nonsense", 400),
    ],
)
def test_what_cannot_be_answered(database: str, path: str, status: int) -> None:
    ((found, answer),) = ask(database, f"{API}{path}")
    assert found == status
    assert set(answer) == {"error", "message", "timestamp"}


def test_a_result_as_deep_as_it_may_be(tmp_path: Path) -> None:
    """As deep as a file is read, and deeper than what is stored."""
    engine = Engine(str(tmp_path / "sessions"), str(tmp_path / "db"), clock=SettledClock(), pace=Pace(rescan=3600))
    deep = {levels: "[" * levels + "]" * levels for levels in (1_021, 1_023)}
    final = f'{{"success":true,"data":{{"steps":{deep[1_021]}}}}}'
    text = f'{{"benchmark_id":"deep","metadata":{deep[1_023]},"final_result":{final}}}'
    leave(tmp_path / "sessions", "deep", text)
    engine.settle()
    engine.close()
    found = get(str(tmp_path / "db"), "/execution-logs/deep")
    assert found["status"] == "Completed"
    why = "its result is not known (nested too deeply to be stored: see the file), and no tool calls are known"
    assert found["message"] == f"it ended without a trace: {why}"
