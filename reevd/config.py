"""Settings: a flag beats the environment beats the file beats what systemd gave beats the default."""

from __future__ import annotations

import argparse
import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import yaml

from reevd import __version__
from reevd.errors import ConfigError
from reevd.feed.outcome import TERMINAL
from reevd.option import Option, check
from reevd.yaml_text import MISFIT, opener

DATABASE = "logs/state/reevd.sqlite3"
OPTIONS = (
    Option(
        "sessions_dir",
        "logs/sessions",
        "folder in which runners leave their files",
        env=("REEV_SESSIONS_DIR",),
        systemd=("LOGS_DIRECTORY", "sessions"),
    ),
    Option("benchmarks_dir", "benchmarks", "folder of the benchmark cases (YAML)"),
    Option(
        "database",
        DATABASE,
        "SQLite database; its journal and lock stand beside it",
        systemd=("STATE_DIRECTORY", "reevd.sqlite3"),
    ),
    Option(
        "socket",
        "logs/state/reevd.sock",
        "Unix socket to answer on; a socket from systemd beats it",
        systemd=("RUNTIME_DIRECTORY", "reevd.sock"),
    ),
    Option("log_format", "auto", "json, console, or auto: console on a terminal", choices=("auto", "json", "console")),
    Option(
        "settle_seconds",
        2.0,
        "a file counts as read this long after its last change; before, provisionally",
        least=0.05,
    ),
    Option(
        "silence_seconds",
        300.0,
        "an execution without news for so long ends in Timeout, unless its runner is known to live",
        least=1.0,
    ),
    Option("total_seconds", 3600.0, "an execution without a result ends in Timeout after so long in all", least=1.0),
    Option("rescan_seconds", 30.0, "pause between full scans of the folder, where events arrive", least=0.1),
    Option("poll_seconds", 1.0, "pause between full scans where inotify cannot be had", least=0.1),
    Option(
        "retention_days", 0.0, "executions that ended so many days ago are removed, with their files (default: never)"
    ),
    Option("max_running", 2, "at most so many runs that reevd started go on at once; the others are queued", least=1),
    Option("stop_seconds", 5.0, "a runner that was asked to end, or should have, is killed after so long", least=0.1),
    Option("runner", "", "the program to start for a run (default: the installed reev-runner, else the checkout's)"),
    Option(
        "porter", "", "socket of the unit that starts runners outside of this one's sandbox (default: start them here)"
    ),
    Option(
        "writers", (), "users whose files are read, besides root's and the daemon's own; a list (default: everyone)"
    ),
    Option("connections_per_user", 128, "at most so many connections to the socket of one user", least=1),
    Option(
        "forward_endpoint",
        "",
        "a collector's address, such as http://127.0.0.1:4318: what ends goes there as OTLP traces",
    ),
    Option("forward_rate", 100.0, "at most so many executions a second are forwarded", least=0.1),
    Option("notice_command", (), "a command with its arguments, run for each execution that ends; a list"),
    Option("notice_webhook", "", "an address to which each execution that ends is posted"),
    Option("notice_statuses", TERMINAL, "only these are told of by command and webhook; a list"),
    Option("notice_benchmarks", ("*",), "only benchmarks of such names are told of; a list of patterns"),
    Option("notice_attempts", 8, "a notice that fails so often is given up", least=1),
    Option("notice_seconds", 30.0, "a command or webhook that takes longer has failed", least=0.1),
    Option(
        "admin_group", "", "group that may run, stop, sync, upsert, prune, back up, besides root and the daemon's user"
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    sessions_dir: str
    benchmarks_dir: str
    database: str
    socket: str
    log_format: str
    settle_seconds: float
    silence_seconds: float
    total_seconds: float
    rescan_seconds: float
    poll_seconds: float
    retention_days: float
    max_running: int
    stop_seconds: float
    runner: str
    porter: str
    writers: tuple[str, ...]
    connections_per_user: int
    forward_endpoint: str
    forward_rate: float
    notice_command: tuple[str, ...]
    notice_webhook: str
    notice_statuses: tuple[str, ...]
    notice_benchmarks: tuple[str, ...]
    notice_attempts: int
    notice_seconds: float
    admin_group: str
    once: bool = False


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Raises ConfigError where a value cannot be used; exits as argparse does for a flag that is none."""
    flags = _parser().parse_args(arguments)
    path = flags.config or environ.get("REEVD_CONFIG")
    file = _read(path) if path else {}
    values = {option.name: _value(option, getattr(flags, option.name), environ, file, path or "") for option in OPTIONS}
    return Settings(**values, once=flags.once)


def _value(option: Option, flag: str | None, environ: Mapping[str, str], file: Mapping[str, Any], path: str) -> Any:
    if flag is not None:
        return check(option, flag, f"--{option.name.replace('_', '-')}")
    for variable in option.variables:
        if variable in environ:
            return check(option, environ[variable], variable)
    if option.name in file:
        return check(option, file[option.name], f"{path}: {option.name}")
    if option.systemd and environ.get(option.systemd[0]):
        return os.path.join(environ[option.systemd[0]].split(":")[0], option.systemd[1])
    return option.default


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb", opener=opener) as file:
            document = yaml.safe_load(file) or {}
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError("reading the settings in", path, error, "see systemd/reevd.yaml for an example") from error
    except MISFIT as error:
        why = f"a value in it does not fit its type: {error}"
        raise ConfigError("reading the settings in", path, why, "see systemd/reevd.yaml for an example") from error
    if not isinstance(document, dict):
        raise ConfigError("reading the settings in", path, "it holds no keys", "see systemd/reevd.yaml for an example")
    known = [option.name for option in OPTIONS]
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1) or known
            raise ConfigError("reading the settings in", path, f"unknown key {key!r}", f"one of: {', '.join(near)}")
    return document


def _help(option: Option) -> str:
    """With the default, where the words have not said what that means."""
    if "(default: " in option.help:
        return option.help
    if isinstance(option.default, float | int):
        return f"{option.help} (default: {option.default:g})"
    listed = isinstance(option.default, tuple)
    return f"{option.help} (default: {json.dumps(option.default) if listed else option.default or 'none'})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reevd",
        description="Keeps SQLite true to the sessions folder and answers over a Unix socket. No flag is needed.",
        epilog="Each setting is also read from REEVD_<NAME> in the environment and from the file of --config."
        " `reevd restore FILE` puts a backup back.",
    )
    parser.add_argument("--config", metavar="FILE", help="settings in YAML (see systemd/reevd.yaml)")
    for option in OPTIONS:
        parser.add_argument(f"--{option.name.replace('_', '-')}", metavar=option.metavar, help=_help(option))
    parser.add_argument("--once", action="store_true", help="reconcile everything once, then exit")
    parser.add_argument("--version", action="version", version=f"reevd {__version__}")
    return parser


assert {o.name for o in OPTIONS} | {"once"} == {f.name for f in fields(Settings)}
