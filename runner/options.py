"""The command line: what may be asked for, and what is wrong with what is."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from runner import __version__
from runner.agents import Agents
from runner.errors import UsageError
from runner.session import DEFAULT_SESSIONS, EXECUTION_ID, HOST_SESSIONS

DEFAULT_TIMEOUT, MAX_TIMEOUT = 300.0, 3600.0
SESSIONS_HELP = f"default: REEV_SESSIONS_DIR, else {DEFAULT_SESSIONS}, else {HOST_SESSIONS} where that is there"
MOST = 100_000
EPILOG = """exit status: 0 every execution succeeded; 1 one failed; 2 usage or an invalid benchmark; 3 the agent or
the chain cannot be reached; 124 timeout; 130 interrupted"""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError("reading", "the command line", message, "reev-runner --help")


class ListAgents(argparse.Action):
    """`--list-agents`: a name a line, for programs."""

    def __init__(self, *, agents: Agents, **settings: Any) -> None:
        super().__init__(nargs=0, **settings)
        self._agents = agents

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print("\n".join(self._agents))
        parser.exit()


def read(argv: Sequence[str] | None, agents: Agents) -> argparse.Namespace:
    parser = Parser(
        prog="reev-runner",
        description="Execute Solana benchmarks for real and leave a session file and telemetry for each.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("paths", metavar="PATH", type=Path, nargs="+", help="a benchmark's YAML, or a folder of them")
    add("--agent", default="deterministic", help=f"one of: {', '.join(agents)} (default: deterministic)")
    add("--execution-id", metavar="ID", help="the execution's name (default: a fresh UUID)")
    add("--sessions-dir", metavar="DIR", type=Path, help=SESSIONS_HELP)
    add("--rpc-url", metavar="URL", help="a chain to run on (default: the embedded one)")
    add("--repeat", metavar="N", type=int, default=1, help="execute each so often (default: 1)")
    add("--jobs", metavar="N", type=int, default=1, help="so many at once, each in a process of its own (default: 1)")
    add("--timeout", metavar="S", type=float, default=DEFAULT_TIMEOUT, help="seconds a run may take (default: 300)")
    add("--validate", action="store_true", help="only check the benchmarks, and run none")
    add("--list-agents", action=ListAgents, agents=agents, help="print the names of the agents, and exit")
    add("--version", action="version", version=f"reev-runner {__version__}")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--quiet", action="store_true", help="print nothing but errors")
    output.add_argument("--json", action="store_true", help="print one line of JSON for each execution")
    options = parser.parse_args(argv)
    _check(options, agents)
    return options


def _check(options: argparse.Namespace, agents: Agents) -> None:
    doing = "reading the command line:"
    if options.agent not in agents:
        known = ", ".join(agents)
        raise UsageError(doing, f"--agent {options.agent}", "there is no such agent", f"one of: {known}")
    if not (math.isfinite(options.timeout) and 0 < options.timeout <= MAX_TIMEOUT):
        why = f"it must be more than 0 and at most {MAX_TIMEOUT:g} seconds"
        raise UsageError(doing, f"--timeout {options.timeout:g}", why, "--timeout 300")
    if options.rpc_url == "":
        raise UsageError(doing, "--rpc-url", "it is empty", "leave it out for the embedded chain")
    for name in ("repeat", "jobs"):
        if not 1 <= getattr(options, name) <= MOST:
            raise UsageError(doing, f"--{name}", f"it must be between 1 and {MOST:,}", f"--{name} 1")
    if options.execution_id is None:
        return
    if len(options.paths) > 1 or options.repeat > 1 or os.path.isdir(options.paths[0]):
        why = "there are several executions, and each gets an id of its own"
        raise UsageError(doing, "--execution-id", why, "name one file, or leave the id out")
    if not EXECUTION_ID.fullmatch(options.execution_id):
        why = "an id has 1 to 128 letters, digits, '.', '_' and '-', and begins with a letter or a digit"
        raise UsageError(doing, f"--execution-id {options.execution_id[:140]!r}", why, "leave it out for a fresh UUID")
