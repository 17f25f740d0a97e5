"""Completion, as the shells themselves do it; and a help that names every command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reevd.ctl.commands import HIDDEN, MODULES
from reevd.ctl.main import main
from tests.harness import Daemon, daemon, leave, session

NAMES = [name for names in MODULES.values() for name in names if name not in HIDDEN]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("completion")) as made:
        leave(made.sessions, "abc-1", session("abc-1", agent_type="some-agent"))
        leave(made.sessions, "abc-2", session("abc-2"))
        made.wait_for("abc-1", "Completed")
        made.wait_for("abc-2", "Completed")
        yield made


@pytest.fixture
def environ(running: Daemon, tmp_path: Path) -> dict[str, str]:
    """With a `reevctl` on the path that is ours."""
    command = tmp_path / "reevctl"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reevd.ctl "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "REEVD_SOCKET": str(running.socket)}


CASES = [
    (["tra"], ["trace", "transactions"]),
    (["show", "abc"], ["abc-1", "abc-2"]),
    (["list", "--ag"], ["--agent"]),
    (["list", "--agent", "some"], ["some-agent"]),
    (["list", "--status", "Comp"], ["Completed"]),
    (["export", "--format", "p"], ["parquet"]),
    (["wait", "abc-1", "abc-2", "--t"], ["--timeout"]),
    (["show", "--"], ["--help", "--json", "--socket"]),
    (["--so"], ["--socket"]),
]


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_bash(environ: dict[str, str], words: list[str], expected: list[str]) -> None:
    line = " ".join(f"'{word}'" for word in ["reevctl", *words])
    script = (
        f'eval "$(reevctl completion bash)"; COMP_WORDS=({line}); COMP_CWORD={len(words)};'
        ' compopt() { :; }; _reevctl; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, timeout=30)
    assert sorted(done.stdout.split()) == expected, done.stderr


def test_the_daemon_that_the_line_names_is_asked(running: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(running.socket)
    for words in (
        ["--socket", path, "show"],
        [f"--socket={path}", "show"],
        ["--socket", "=", path, "show"],
        ["show", "--socket", path],
    ):
        assert main(["--socket", "/nowhere", "complete", "--", *words, "abc"]) == 0
        assert sorted(capsys.readouterr().out.split()) == ["abc-1", "abc-2"]
    assert main(["complete", "--", "show", "--socket", ""]) == 0
    assert capsys.readouterr().out == ""  # the shell's own: files


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish is installed here")
def test_fish(environ: dict[str, str], tmp_path: Path) -> None:
    script = (
        "reevctl completion fish | source; complete -C 'reevctl show abc'; complete -C 'reevctl list --status Comp'"
    )
    environ["HOME"] = str(tmp_path)
    done = subprocess.run(["fish", "-c", script], env=environ, capture_output=True, text=True, timeout=30)
    assert sorted(done.stdout.split()) == ["Completed", "abc-1", "abc-2"], done.stderr


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh is installed here")
def test_zsh(environ: dict[str, str]) -> None:
    script = (
        "compdef() { :; }; _files() { echo files; }; compadd() { [ $1 = -a ] && print -l ${(P)2}; };"
        ' eval "$(reevctl completion zsh)"; words=(reevctl show abc); CURRENT=3; _reevctl'
    )
    done = subprocess.run(["zsh", "-fc", script], env=environ, capture_output=True, text=True, timeout=30)
    assert sorted(done.stdout.split()) == ["abc-1", "abc-2"], done.stderr


def test_without_a_daemon_it_is_silent_and_knows_the_commands(environ: dict[str, str], tmp_path: Path) -> None:
    environ["REEVD_SOCKET"] = str(tmp_path / "none")
    for words, expected in (
        (["complete", "--", "tra"], "trace\ntransactions\n"),
        (["complete", "--", "show", ""], "--json"),
    ):
        done = subprocess.run(["reevctl", *words], env=environ, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stderr) == (0, "")
        assert expected in done.stdout


def test_the_help_names_every_command_and_each_has_its_own(environ: dict[str, str]) -> None:
    whole = subprocess.run(["reevctl", "--help"], env=environ, capture_output=True, text=True, timeout=30).stdout
    for name in NAMES:
        assert f"  {name:<13}" in whole, name
        done = subprocess.run(["reevctl", name, "--help"], env=environ, capture_output=True, text=True, timeout=30)
        assert f"usage: reevctl {name}" in done.stdout
        assert f"examples:\n  {'eval' if name == 'completion' else f'reevctl {name}'}" in done.stdout
