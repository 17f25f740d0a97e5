"""Settings: where they come from, which one wins, and what is said of those that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reevd.assembly import RESTART
from reevd.config import OPTIONS, load
from reevd.errors import ConfigError
from tests.harness import ROOT

EXAMPLE = ROOT / "systemd" / "reevd.yaml"


def test_the_example_names_every_option_with_its_default() -> None:
    assert load(["--config", str(EXAMPLE)], {}) == load([], {})
    text = EXAMPLE.read_text()
    assert all(f"\n{option.name}:" in text for option in OPTIONS)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(["--help"], {})
    shown = capsys.readouterr().out
    assert all(f"--{option.name.replace('_', '-')}" in shown for option in OPTIONS)
    assert shown.count("(default:") == len(OPTIONS)
    for flag in ("max-running", "connections-per-user", "notice-attempts"):
        assert f"--{flag} N " in shown.replace("\n", " ")


def test_a_setting_that_is_read_anew_is_used_or_a_restart_is_asked_for() -> None:
    """What the daemon takes on while it runs; each new option belongs to the one or the other."""
    used = {
        "settle_seconds", "silence_seconds", "total_seconds", "rescan_seconds", "poll_seconds", "retention_days",
        "max_running", "stop_seconds",
    }  # fmt: skip
    assert {option.name for option in OPTIONS} - set(RESTART) == used


def test_a_flag_beats_the_environment_beats_the_file_beats_systemd(tmp_path: Path) -> None:
    file = tmp_path / "reevd.yaml"
    file.write_text("socket: file\n")
    given = {"RUNTIME_DIRECTORY": "/run/reevd"}
    assert load([], given).socket == "/run/reevd/reevd.sock"
    assert load(["--config", str(file)], given).socket == "file"
    assert load([], {**given, "REEVD_CONFIG": str(file)}).socket == "file"
    given["REEVD_SOCKET"] = "environment"
    assert load(["--config", str(file)], given).socket == "environment"
    assert load(["--config", str(file), "--socket", "flag"], given).socket == "flag"


def test_runner_and_daemon_share_a_variable() -> None:
    assert load([], {"REEV_SESSIONS_DIR": "there"}).sessions_dir == "there"
    assert load([], {"REEV_SESSIONS_DIR": "there", "REEVD_SESSIONS_DIR": "here"}).sessions_dir == "here"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sesions_dir: x\n", "unknown key 'sesions_dir'"),
        ("- list\n", "no keys"),
        ("a: [\n", "reevd.yaml"),
        ("settle_seconds: soon\n", "is no number"),
        ("settle_seconds: 0\n", "out of range"),
        ("settle_seconds: .nan\n", "out of range"),
        ("log_format: xml\n", "unknown"),
        ("sessions_dir: ''\n", "no text"),
        ("socket: 7\n", "no text"),
        ("writers: [nobody-of-that-name]\n", "nobody-of-that-name"),
        ("retention_days: 2026-13-45\n", "month must be in 1..12"),
        ("max_running: !!int ''\n", "does not fit its type"),
        ("max_running: !!bool maybe\n", "does not fit its type"),
        ("max_running: !!timestamp soon\n", "does not fit its type"),
        (f"silence_seconds: 1{400 * '0'}\n", "is no number"),
        ('socket: "a\\0b"\n', "no text"),
        (100_000 * "[", "recursion"),
        (f"max_running: 0x{5000 * 'f'}\n", "ValueError"),
        (f"writers: ['{5000 * '9'}']\n", "ValueError"),
        ('writers: ["a\\0b"]\n', "no list of texts"),
        ('writers: ["\\ud800"]\n', "UnicodeEncodeError"),
        (f"notice_command: '{100_000 * '['}'\n", "RecursionError"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "reevd.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(["--config", str(file)], {})
    assert said in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("key", "hint"), [("max_runnning", "one of: max_running"), ("x", "one of: sessions_dir, bench")]
)
def test_a_misspelt_setting_is_answered_with_the_nearest(tmp_path: Path, key: str, hint: str) -> None:
    file = tmp_path / "reevd.yaml"
    file.write_text(f"{key}: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(["--config", str(file)], {})
    assert caught.value.hint.startswith(hint)
    assert ("," in caught.value.hint) == ("," in hint)


def test_a_pipe_is_no_file_of_settings(tmp_path: Path) -> None:
    """To open it would wait for a writer, for ever."""
    os.mkfifo(tmp_path / "reevd.yaml")
    with pytest.raises(ConfigError, match="no regular file"):
        load(["--config", str(tmp_path / "reevd.yaml")], {})
