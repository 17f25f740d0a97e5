"""What `reevctl` takes from a person who knows it little: words in any case, times as they are said, paths, typos."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reevd.ctl import client
from reevd.ctl.commands import HIDDEN, MODULES
from reevd.ctl.main import main
from reevd.ctl.moment import told
from tests.canned import canned

Capture = pytest.CaptureFixture[str]
API = "/api/v1"
NAMES = [name for names in MODULES.values() for name in names if name not in HIDDEN]
NOW = 1_769_860_800.9  # 2026-01-31T12:00:00.9Z


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("45s", "2026-01-31T11:59:15.000000Z"),
        ("30m", "2026-01-31T11:30:00.000000Z"),
        ("1h", "2026-01-31T11:00:00.000000Z"),
        ("2d", "2026-01-29T12:00:00.000000Z"),
        ("1w", "2026-01-24T12:00:00.000000Z"),
        ("999999999w", "1970-01-01T00:00:00.000000Z"),
        ("today", "2026-01-31T00:00:00.000000Z"),
        ("yesterday", "2026-01-30T00:00:00.000000Z"),
        *((same, same) for same in ("2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+02:00")),
        *((none, None) for none in ("soon", "1", "h", "-1h", "1.5h", "1y", "1h30m", "", "2026-13-01", "٣h")),
    ],
)
def test_times_are_told_as_people_say_them(text: str, time: str | None) -> None:
    assert told(text, NOW) == time


@pytest.mark.parametrize("command", ["list", "export", "agents", "compare a b"])
def test_every_command_that_takes_times_asks_for_what_was_meant(tmp_path: Path, command: str) -> None:
    with canned(tmp_path, {}) as daemon:
        main(["--socket", daemon.socket, *command.split(), "--since", "1h", "--until", "yesterday"])
        (asked,) = daemon.asked
    assert re.search(r"since=20\d\d-\d\d-\d\dT\d\d%3A\d\d%3A\d\d\.000000Z&until=20\d\d-\d\d-\d\dT00%3A00%3A00", asked)


def test_a_time_that_is_none_is_refused_with_the_forms_that_there_are(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["agents", "--since", "soon"])
    assert ended.value.code == 2
    assert "argument --since: 'soon' is no time: give a date (2026-01-31), a time (" in (
        said := capsys.readouterr().err
    )
    assert "today, yesterday, or how long ago (30s, 30m, 1h, 2d, 1w)" in said


@pytest.mark.parametrize(
    ("given", "asked"),
    [("failed", "Failed"), ("TIMEOUT", "Timeout"), ("Queued", "Queued"), ("failed,stopped", "Failed%2CStopped")],
)
def test_a_status_is_known_in_any_case(tmp_path: Path, given: str, asked: str) -> None:
    page = {"items": [], "next_cursor": None}
    with canned(tmp_path, {f"GET {API}/executions?status={asked}&limit=100": (200, page)}) as daemon:
        assert main(["--socket", daemon.socket, "list", "--status", given]) == 0


def test_a_status_that_is_none_is_refused_with_those_that_there_are(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["export", "--status", "failed,sleeping"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'sleeping' is none of Queued, Running, Completed, Failed, Stopped, Timeout" in said


@pytest.mark.parametrize("given", ["001-b", "benchmarks/001-b.yml", "/abs/001-b.yaml", "001-b.yml"])
def test_the_path_of_a_case_stands_for_its_name(tmp_path: Path, given: str) -> None:
    with canned(tmp_path, {}) as daemon:
        for words in (["run", given], ["benchmarks", given], ["flaky", "--benchmark", given]):
            main(["--socket", daemon.socket, *words])
    run, benchmark, flaky = daemon.asked
    assert run == f"POST {API}/benchmarks/001-b/run"
    assert benchmark == f"GET {API}/benchmarks/001-b"
    assert flaky == f"GET {API}/flaky?benchmark_id=001-b&min_runs=2"


@pytest.mark.parametrize("words", [[], ["--json"], ["--socket", "nowhere"]])
def test_without_a_command_it_says_which_there_are(capsys: Capture, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("usage: reevctl ")
    assert [name for name in NAMES if f"\n  {name} " not in said.err] == []
    assert "complete " not in said.err
    assert "exit status:" not in said.err, "what is long is for --help"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stauts"], "no command 'stauts': did you mean status?"),
        (["--socket", "list", "Lst"], "no command 'Lst': did you mean list?"),
        (["--sock", "list", "shwo"], "no command 'shwo': did you mean show?"),
        (["compleet"], "no command 'compleet': did you mean completion or compare?"),
        (["xyzzy"], f"no command 'xyzzy': there are {', '.join(NAMES)}"),
        (["--socket"], "argument --socket: expected one argument"),
    ],
)
def test_a_mistyped_command_is_guessed(capsys: Capture, words: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"\nreevctl: error: {said}\n")


def test_where_no_daemon_is_the_places_that_were_looked_at_are_told(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REEVD_SOCKET", raising=False)
    host = str(tmp_path / "host" / "reevd.sock")
    monkeypatch.setattr(client, "DEFAULTS", ("logs/state/reevd.sock", host))
    here = f"{tmp_path}/logs/state/reevd.sock"
    for words in (["health"], ["--json", "doctor"]):
        main(words)
    said = capsys.readouterr()
    assert said.err.startswith(f"Error: asking reevd on {here} and {host}: ")
    assert said.err.endswith("\nTry: start `reevd`, or name its socket with --socket or REEVD_SOCKET\n")
    assert json.loads(said.out)[0]["found"].startswith(f"{here} and {host}: ")
    Path(host).parent.mkdir()
    Path(host).touch()
    assert main(["health"]) == 3
    assert capsys.readouterr().err.startswith(f"Error: asking reevd on {host}: ")
    monkeypatch.setenv("REEVD_SOCKET", "named")
    assert main(["health"]) == 3
    assert capsys.readouterr().err.startswith(f"Error: asking reevd on {tmp_path}/named: ")


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_command_name_executions_as_people_do(
    name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few hexadecimal digits would look as if the beginning of an id were enough."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    examples = capsys.readouterr().out.partition("examples:")[2]
    assert examples
    assert not re.search(r"\b[0-9a-f]{4,8}\b(?!-)", examples)
