"""What `reevctl` prints of answers that are written here, and what it asks for."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from reevd import __version__
from reevd.ctl import render, sheets
from reevd.ctl.main import main
from reevd.ctl.stream import Event
from tests.canned import canned

Capture = pytest.CaptureFixture[str]
API = "/api/v1"


def test_a_refusal_that_came_too_late_says_that_it_may_still_be_done(tmp_path: Path, capsys: Capture) -> None:
    refusal: tuple[int, Any] = (503, {"message": "the engine did not answer 'run' within 30 s"})
    with canned(tmp_path, {f"POST {API}/benchmarks/b/run": refusal, f"POST {API}/sync": refusal}) as daemon:
        assert main(["--socket", daemon.socket, "run", "b", "--id", "mine"]) == 1
        hint = "Try: it may still be done: see `{}` before you ask again\n"
        assert capsys.readouterr().err.endswith(hint.format("reevctl show mine"))
        assert main(["--socket", daemon.socket, "sync"]) == 1
        assert capsys.readouterr().err.endswith(hint.format("reevctl status"))


def test_colour_changes_no_text() -> None:
    text = "healthy: 1 Completed\n✔ Completed  1.000\n✘ Failed  0.000"
    coloured = render.colour(text, wanted=True)
    assert coloured.startswith("\x1b[32mhealthy\x1b[0m: ")
    assert re.sub("\x1b\\[[0-9]*m", "", coloured) == text


@pytest.mark.parametrize(
    ("status", "until"),
    [("Queued", "unless it has begun by then, or is in the queue still"), ("Running", "unless there is news")],
)
def test_what_has_not_ended_says_when_it_is_given_up(status: str, until: str) -> None:
    at, source = ENDED["created_at"], {"session": None, "otel": None, "state": "present"}
    going = {**ENDED, "status": status, "deadline_at": at, "tool_calls": 0, "source": source, "warnings": []}
    assert f"  given up   {at} {until}\n" in render.execution(going, 0)


def test_doctor_says_each_fix_on_a_line_of_its_own(tmp_path: Path, capsys: Capture) -> None:
    health = {
        "status": "degraded",
        "version": __version__,
        "timestamp": "2026-01-31T12:00:00.000000Z",
        "reasons": ["one\nreason"],
        "watch": {"mode": "poll", "path": str(tmp_path / "sessions")},
        "database": {"path": str(tmp_path / "db"), "wal_bytes": 0},
    }
    answers = {
        f"GET {API}/health": (200, health),
        f"GET {API}/problems?limit=1000": (200, {"items": [], "next_cursor": None}),
    }
    with canned(tmp_path, answers) as daemon:
        assert main(["--socket", daemon.socket, "doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"✘ daemon: degraded on {daemon.socket}: one\\nreason"
    assert lines[1].startswith("    fix: what is marked below")
    found = lines.index(f"✘ sessions folder: {tmp_path}/sessions: No such file or directory")
    assert lines[found + 1] == f"    fix: mkdir -p {tmp_path}/sessions, or see the setting sessions_dir"
    assert [line[0] for line in lines if not line.startswith("    fix: ")].count("✘") >= 3


def rows(count: int) -> list[dict[str, Any]]:
    return [{name: f"{name}-{n}" for name in sheets.EXECUTIONS} for n in range(count)]


def test_export_takes_as_many_as_it_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (f"GET {API}/executions?limit={more}" for more in ("1000", "1000&cursor=next"))
    three = f"GET {API}/executions?limit=3"
    answers = {
        first: (200, {"items": rows(3), "next_cursor": "next"}),
        second: (200, {"items": rows(2), "next_cursor": None}),
        three: (200, {"items": rows(3), "next_cursor": "next"}),
    }
    with canned(tmp_path, answers) as daemon:
        assert main(["--socket", daemon.socket, "export"]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 1 + 5
        del daemon.asked[:]
        assert main(["--socket", daemon.socket, "export", "--limit", "3"]) == 0
        assert len(capfd.readouterr().out.splitlines()) == 1 + 3
        assert daemon.asked == [three]


def test_an_export_that_fails_at_once_has_written_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", str(tmp_path / "none"), "export"]) == 3
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("options", [["--format", "json"], ["--json"]])
def test_a_flow_goes_into_the_file_in_every_form(tmp_path: Path, capsys: Capture, options: list[str]) -> None:
    found = {"session_id": "a", "diagram": "stateDiagram"}
    with canned(tmp_path, {f"GET {API}/flows/a": (200, found)}) as daemon:
        assert main(["--socket", daemon.socket, "flow", "a", *options, "-o", str(tmp_path / "f")]) == 0
    assert json.loads((tmp_path / "f").read_text()) == found
    assert capsys.readouterr().out == ""


def test_a_backup_replaces_nothing_unless_it_is_told_to(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "copy"
    path.write_text("the one of yesterday")
    with canned(tmp_path, {f"GET {API}/backup": (200, "this is no database")}) as daemon:
        assert main(["--socket", daemon.socket, "backup", str(path)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"Error: writing the backup {path}: there is something of that name already\n")
        assert "--force" in said
        assert daemon.asked == []
        assert main(["--socket", daemon.socket, "backup", "--force", str(path)]) == 1
        assert capsys.readouterr().err.startswith(f"Error: checking the backup {path}: ")
        assert main(["--socket", daemon.socket, "backup", f"{tmp_path}/none/copy"]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"Error: writing the backup {tmp_path}/none/copy: No such file or directory\nTry: ")
    assert path.read_text() == "the one of yesterday"
    assert not Path(f"{path}.tmp").exists()


def test_a_timeout_is_for_waiting(tmp_path: Path, capsys: Capture) -> None:
    with canned(tmp_path, {}) as daemon:
        assert main(["--socket", daemon.socket, "run", "b", "--timeout", "9"]) == 2
        assert daemon.asked == []
    assert "Try: --wait too" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--timeout", "--run-timeout"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1", "soon"])
def test_a_time_is_one_that_ends(capsys: Capture, option: str, value: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "b", "--wait", f"{option}={value}"])
    assert ended.value.code == 2
    assert f"argument {option}: '{value}' is no number of seconds" in capsys.readouterr().err


def test_agents_as_json_have_all_their_results(tmp_path: Path, capsys: Capture) -> None:
    with canned(tmp_path, {f"GET {API}/agent-performance": (200, [])}) as daemon:
        assert main(["--socket", daemon.socket, "--json", "agents"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_a_daemon_that_is_named_and_not_there_is_not_passed_over(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REEVD_CONFIG", raising=False)
    assert main(["--socket", "nope", "verify"]) == 3
    assert capsys.readouterr().err.startswith(f"Error: asking reevd on {tmp_path}/nope: ")


CASE = {"id": "001-b", "description": "Sends SOL", "tags": ["sol"], "prompt": "Send it"}


def test_benchmarks_are_all_listed_and_one_is_shown(tmp_path: Path, capsys: Capture) -> None:
    link = '<http://reevd/api/v1/benchmarks?cursor=WyJB>; rel="next"'
    recent = {"execution_id": "run-1", "agent_type": "local", "status": "Failed", "score": 0.5}
    one = {**CASE, "recent_executions": [{**recent, "created_at": "2026-01-31T12:00:00.000000Z"}]}
    answers = {
        f"GET {API}/benchmarks": (200, [CASE], link),
        f"GET {API}/benchmarks?cursor=WyJB": (200, [{**CASE, "id": "002-b"}]),
        f"GET {API}/benchmarks/001-b": (200, one),
    }
    with canned(tmp_path, answers) as daemon:
        assert main(["--socket", daemon.socket, "benchmarks"]) == 0
        heads, first, second = capsys.readouterr().out.splitlines()
        assert heads.split() == ["benchmark", "tags", "description"]
        assert [first.split()[0], second.split()[0]] == ["001-b", "002-b"]
        assert main(["--socket", daemon.socket, "benchmarks", "001-b"]) == 0
        shown = capsys.readouterr().out
        assert "  prompt  Send it\n" in shown
        assert shown.splitlines()[-1].split()[1:4] == ["Failed", "0.500", "local"]
        assert main(["--socket", daemon.socket, "--json", "benchmarks", "001-b"]) == 0
        assert json.loads(capsys.readouterr().out) == one


def test_problems_and_tools_end_where_there_are_no_more(tmp_path: Path, capsys: Capture) -> None:
    problem = {"kind": "json", "since": "2026-01-31T12:00:00.000000Z", "attempts": 1, "message": "no JSON"}
    pages = [{"items": [{**problem, "path": path}], "next_cursor": more} for path, more in (("a", "m"), ("b", None))]
    call = {"tool_name": "t", "status": "success", "duration_ms": 1.0, "params": {"to": {"x": None}}}
    calls = "/api/v1/executions/x/tool-calls?limit=1000"
    answers = {
        f"GET {API}/problems?limit=1000": (200, pages[0]),
        f"GET {API}/problems?limit=1000&cursor=m": (200, pages[1]),
        f"GET {calls}": (200, [call], f'<http://reevd{calls}&cursor=m>; rel="next"'),
        f"GET {calls}&cursor=m": (200, [{**call, "tool_name": "last"}]),
    }
    with canned(tmp_path, answers) as daemon:
        assert main(["--socket", daemon.socket, "problems"]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["file", "a", "b"]
        assert main(["--socket", daemon.socket, "tools", "x"]) == 0
        assert capsys.readouterr().out.splitlines()[-1].split() == ["2", "last", "success", "1.0", 'to={"x":null}']


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "list them with GET /api/v1/executions or /benchmarks",
            "list them with `reevctl list` or `reevctl benchmarks`",
        ),
        ("GET /api/v1/benchmarks; a new one: POST /api/v1/sync", "`reevctl benchmarks`; a new one: `reevctl sync`"),
        ("the request GET /api/v1/flaky: min_runs", "the request `reevctl flaky`: min_runs"),
        ("as GET /api/v1/agents lists them", "as `reevctl agents` lists them"),
        ("GET /api/v1/executions/a/b: Not Found", "GET /api/v1/executions/a/b: Not Found"),
        ("GET /api/v1/openapi.json names all", "GET /api/v1/openapi.json names all"),
    ],
)
def test_a_refusal_names_commands(tmp_path: Path, capsys: Capture, message: str, said: str) -> None:
    with canned(tmp_path, {f"GET {API}/executions/x": (404, {"message": message})}) as daemon:
        assert main(["--socket", daemon.socket, "show", "x"]) == 4
    assert capsys.readouterr().err == f"Error: {said}\n"


ENDED = {
    "execution_id": "i" * 128, "benchmark_id": "b" * 128, "agent": "local", "status": "Failed", "score": 0.0,
    "reason": "the run failed", "error_message": "no\x1bsuch account", "created_at": "2026-01-31T12:00:00.000000Z",
    "started_at": None, "ended_at": None,
}  # fmt: skip


def test_a_wait_says_why_it_did_not_end_well(tmp_path: Path, capsys: Capture) -> None:
    with canned(tmp_path, {f"GET {API}/executions/x": (200, ENDED)}) as daemon:
        assert main(["--socket", daemon.socket, "wait", "x"]) == 1
    line, *rest = capsys.readouterr().out.splitlines()
    assert line.startswith("✘ Failed     0.000")
    assert rest == ["  why   the run failed", "  error no\\x1bsuch account"]
    assert render.end({**ENDED, "status": "Completed"}).count("\n") == 0
    assert render.end({**ENDED, "error_message": "the run failed"}).count("\n") == 1


def test_status_says_how_many_more_there_are(tmp_path: Path, capsys: Capture) -> None:
    health = {"status": "healthy", "reasons": [], "problems": 0, "executions": {"Running": 1, "Failed": 1234}}
    for count, last in ((1235, None), (10, "1,225 more: reevctl list")):
        answers = {
            f"GET {API}/health": (200, health),
            f"GET {API}/executions?limit=10": (200, {"items": [ENDED] * count, "next_cursor": None}),
        }
        (folder := tmp_path / str(count)).mkdir()
        with canned(folder, answers) as daemon:
            assert main(["--socket", daemon.socket, "status"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3 + count + bool(last)
        assert lines[-1] == last or (last is None and " more: " not in lines[-1])


def test_a_stop_says_what_became_of_the_runner(tmp_path: Path, capsys: Capture) -> None:
    stopped = {**ENDED, "execution_id": "x", "status": "Stopped", "reason": "stopped; its runner may\ngo on"}
    answers = {
        f"GET {API}/executions/x": (200, {**ENDED, "benchmark_id": "b"}),
        f"POST {API}/benchmarks/b/stop/x": (200, stopped),
    }
    with canned(tmp_path, answers) as daemon:
        assert main(["--socket", daemon.socket, "stop", "x"]) == 0
    assert capsys.readouterr().out == "■ Stopped  x\n  why   stopped; its runner may\\ngo on\n"


def test_a_list_says_why_where_it_is_asked_to(tmp_path: Path, capsys: Capture) -> None:
    several = [
        {**ENDED, "execution_id": "x"},
        {**ENDED, "execution_id": "y", "error_message": None},
        {**ENDED, "execution_id": "z", "status": "Completed", "error_message": None},
    ]
    with canned(
        tmp_path, {f"GET {API}/executions?limit=100": (200, {"items": several, "next_cursor": None})}
    ) as daemon:
        assert main(["--socket", daemon.socket, "list"]) == 0
        assert capsys.readouterr().out.splitlines()[0].endswith("  execution")
        assert main(["--socket", daemon.socket, "list", "--why"]) == 0
    heads, *lines = capsys.readouterr().out.splitlines()
    at = heads.index("why")
    assert [line[at:] for line in lines] == ["no\\x1bsuch account", "the run failed", ""]


@pytest.mark.parametrize(("columns", "width"), [("120", 120), ("30", None)])
def test_why_is_cut_to_what_the_terminal_has_left(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: str, width: int | None
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    long = {**ENDED, "execution_id": "i" * 20, "benchmark_id": "b", "error_message": "m" * 300}
    with canned(tmp_path, {f"GET {API}/executions?limit=100": (200, {"items": [long], "next_cursor": None})}) as daemon:
        for terminal in (True, False):
            monkeypatch.setattr(sys.stdout, "isatty", lambda terminal=terminal: terminal)
            monkeypatch.setenv("NO_COLOR", "")
            assert main(["--socket", daemon.socket, "list", "--why"]) == 0
            heads, line = capsys.readouterr().out.splitlines()
            others = heads.index("why")
            assert line[:others].split()[-1] == "i" * 20, "a name is whole however narrow it gets"
            assert len(line) == ((width or others + 20) if terminal else others + 256)
            assert line.endswith("m…")


def test_what_comes_line_by_line_is_aligned() -> None:
    ran = {"started_at": "2026-01-31T12:00:00.000000Z", "ended_at": "2026-01-31T12:00:00.040000Z"}
    for status, score in (("Completed", 1.0), ("Failed", 0.75), ("Running", None), ("Queued", None)):
        line = render.line({**ENDED, **ran, "status": status, "score": score})
        assert line.index("b" * 128) == len("✔ Completed  1.000  ")
        assert line.endswith(f"  local  took 40 ms  {'i' * 128}")


def test_a_change_that_a_line_does_not_show_is_no_line(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    going = {**ENDED, "status": "Running", "score": None, "updated_at": "then"}
    told = [Event("execution", {**going, "updated_at": at}) for at in ("first", "second")]
    told += [Event("execution", {**going, "status": "Failed", "updated_at": "third"})]
    monkeypatch.setattr("reevd.ctl.watch.Stream", lambda *_: told)
    assert main(["watch"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["first", "third"]


@pytest.mark.parametrize(
    ("words", "path", "answer", "said"),
    [
        (["agents"], "agent-performance?limit=1", [], "no run has ended yet"),
        (
            ["agents", "--since", "2099-01-01"],
            "agent-performance?limit=1&since=2099-01-01",
            [],
            "no run has ended in that time",
        ),
        (["flaky"], "flaky?min_runs=2", {"items": []}, "none: no benchmark that one agent has run 2 times or more"),
    ],
)
def test_nothing_to_tell_says_of_what(
    tmp_path: Path, capsys: Capture, words: list[str], path: str, answer: object, said: str
) -> None:
    with canned(tmp_path, {f"GET {API}/{path}": (200, answer)}) as daemon:
        assert main(["--socket", daemon.socket, *words]) == 0
    assert capsys.readouterr().out.startswith(said)


def test_names_are_whole_in_a_table_and_text_is_cut() -> None:
    assert "i" * 128 in render.executions([ENDED], 0.0)
    assert "b" * 128 in render.executions([ENDED], 0.0)
    long = render.table([("x" * 300, "y" * 300, "z" * 300)], ("execution", "tags", "why"))
    assert max(map(len, long.splitlines())) == 256 + 2 + 60 + 2 + 256


def test_one_win_is_no_wins(tmp_path: Path, capsys: Capture) -> None:
    found = {"wins": 1, "losses": 0, "ties": 1, "sign_test_p": 1.0, "benchmarks": [], "changed": [], "only_a": [],
             "only_b": []}  # fmt: skip
    with canned(tmp_path, {f"GET {API}/compare?a=x&b=y": (200, found)}) as daemon:
        assert main(["--socket", daemon.socket, "compare", "x", "y"]) == 0
    assert capsys.readouterr().out.startswith("1 win, 0 losses, 1 tie for x (")


@pytest.mark.parametrize(("later", "shown"), [(2, False), (3, True)])
def test_a_few_runs_are_no_trend(tmp_path: Path, capsys: Capture, later: int, shown: bool) -> None:
    halves = {"earlier": (19, 0.5), "later": (later, 1.0)}
    agent = {
        "agent_type": "one",
        "total_executions": 19 + later,
        "total_benchmarks": 1,
        "success_rate": 0.5,
        "success_interval": [0.4, 0.6],
        "average_score": 0.5,
        "worst_benchmarks": ["b"],
        "trend": {name: {"executions": n, "success_rate": rate} for name, (n, rate) in halves.items()},
    }
    with canned(tmp_path, {f"GET {API}/agent-performance?limit=1": (200, [agent])}) as daemon:
        assert main(["--socket", daemon.socket, "agents"]) == 0
    assert ("50% → 100% ↑" in capsys.readouterr().out) == shown


def test_a_dry_prune_names_what_would_go(tmp_path: Path, capsys: Capture) -> None:
    told = {"before": "2026-01-01T00:00:00.000000Z", "dry_run": True, "executions": 130, "bytes": 7}
    told |= {"execution_ids": [f"run-{n}" for n in range(100)], "kept": [], "kept_count": 0}
    with canned(tmp_path, {f"POST {API}/prune": (200, told)}) as daemon:
        assert main(["--socket", daemon.socket, "prune", "--days", "3", "--dry-run"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("130 executions, 7 bytes of files: would go")
    assert lines == [*(f"  run-{n}" for n in range(20)), "  110 more"]
