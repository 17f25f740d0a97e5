"""reev-runner: the command line."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from runner import __version__
from runner.agents import AGENTS, Agents
from runner.errors import ChainError, RunnerError, UsageError
from runner.record import Mode, Order
from runner.session import EXECUTION_ID
from runner.stop import Stop

if TYPE_CHECKING:
    from runner.case import Case
    from runner.chain import Chain
    from runner.execute import Ended

# The checkout's, or the one that the host's daemon watches.
DEFAULT_SESSIONS, HOST_SESSIONS = "logs/sessions", "/var/log/reevd/sessions"
DEFAULT_TIMEOUT, MAX_TIMEOUT = 300.0, 3600.0
SESSIONS_HELP = f"default: REEV_SESSIONS_DIR, else {DEFAULT_SESSIONS}, else {HOST_SESSIONS} where that is there"
BROKEN = ("agent", "chain", "internal")
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


def main(argv: Sequence[str] | None = None, *, mode: Mode = "installed", agents: Agents = AGENTS) -> int:
    """Runs what the command line asks for and returns the exit status. `agents` are the ones it knows, by name."""
    stop = Stop()
    try:
        options = _options(argv, agents)
        return _run(options, mode, agents, stop)
    except RunnerError as error:
        _print_error(str(error), error.hint)
        return error.exit_status
    except BrokenPipeError:
        # Whoever read our output is gone; the files stand. The interpreter must not stumble over it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _options(argv: Sequence[str] | None, agents: Agents) -> argparse.Namespace:
    parser = Parser(
        prog="reev-runner",
        description="Execute Solana benchmarks for real and leave a session file and telemetry for each.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("path", metavar="PATH", type=Path, help="a benchmark's YAML, or a folder of them")
    add("--agent", default="deterministic", help=f"one of: {', '.join(agents)} (default: deterministic)")
    add("--execution-id", metavar="ID", help="the execution's name (default: a fresh UUID)")
    add("--sessions-dir", metavar="DIR", type=Path, help=SESSIONS_HELP)
    add("--rpc-url", metavar="URL", help="a chain to run on (default: the embedded one)")
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
    if options.execution_id is None:
        return
    if options.path.is_dir():
        why = f"{options.path} is a folder, and each of its benchmarks gets an id of its own"
        raise UsageError(doing, "--execution-id", why, "name one file, or leave the id out")
    if not EXECUTION_ID.fullmatch(options.execution_id):
        why = "an id has 1 to 128 letters, digits, '.', '_' and '-', and begins with a letter or a digit"
        raise UsageError(doing, f"--execution-id {options.execution_id[:140]!r}", why, "leave it out for a fresh UUID")


def _run(options: argparse.Namespace, mode: Mode, agents: Agents, stop: Stop) -> int:
    # Loaded here: asking for the version or the help needs none of it.
    from runner.case_file import find, load
    from runner.execute import execute

    if options.validate:
        return _validate(find(options.path), options)
    cases = [load(path) for path in find(options.path)]
    folder = _sessions_dir(options.sessions_dir)
    statuses: list[int] = []
    for case in cases:
        order = Order(
            case=case,
            agent=options.agent,
            execution_id=options.execution_id or _fresh_id(),
            sessions_dir=folder,
            timeout=options.timeout,
            mode=mode,
            chain="rpc" if options.rpc_url else "litesvm",
        )
        ended = execute(order, partial(_open_chain, case, options.rpc_url), agents[options.agent], stop, os.environ)
        _print(ended, options)
        statuses.append(ended.exit_status)
        if stop.interrupted:
            return 130
    failed = {status for status in statuses if status}
    # Where several failed in different ways, what they have in common is that they failed.
    return failed.pop() if len(failed) == 1 else len(failed) and 1


def _validate(paths: list[Path], options: argparse.Namespace) -> int:
    """A line for each file. 0 where all are valid, else 2."""
    from runner.case_file import load
    from runner.errors import CaseError

    statuses = []
    for path in paths:
        found: dict[str, Any] = {"file": str(path), "valid": True}
        try:
            case = load(path)
            found |= {"benchmark_id": case.id, "steps": case.steps_total, "needs": list(case.needs)}
            text = f"ok      {path}: {case.id}" + (f", needs {' and '.join(case.needs)}" if case.needs else "")
        except CaseError as error:
            found |= {"valid": False, "line": error.line, "field": error.field, "why": error.why}
            text = f"INVALID {error.file}:{error.line} {error.field}: {error.why}"
        statuses.append(found["valid"])
        if options.json:
            import orjson

            text = orjson.dumps(found).decode()
        if options.json or not options.quiet or not found["valid"]:
            print(text, flush=True)
    return 0 if all(statuses) else 2


def _sessions_dir(given: Path | None) -> Path:
    here, host = Path(DEFAULT_SESSIONS), Path(HOST_SESSIONS)
    named = given or os.environ.get("REEV_SESSIONS_DIR")
    folder = Path(named) if named else host if host.is_dir() and not here.is_dir() else here
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "give a folder that can be written with --sessions-dir"
        raise UsageError("making the sessions folder", str(folder), error.strerror, hint) from None
    return folder


def _fresh_id() -> str:
    import uuid

    return str(uuid.uuid4())


def _open_chain(case: Case, rpc_url: str | None) -> Chain:
    """Raises ChainError also where the case needs what is not there: then it does not even begin."""
    if "mainnet" in case.needs and not rpc_url:
        why = "it needs the programs of the main chain, which the embedded chain has not"
        hint = "surfpool start; then the same with --rpc-url http://127.0.0.1:8899"
        raise ChainError("running", case.id, why, hint)
    if "jupiter" in case.needs:
        from runner.jupiter import reach

        reach(case.id)
    if rpc_url:
        from runner.chain.rpc import RpcChain

        return RpcChain(rpc_url)
    from runner.chain.litesvm import EmbeddedChain

    return EmbeddedChain()


def _print(ended: Ended, options: argparse.Namespace) -> None:
    from runner import report

    if options.json:
        print(report.line(ended), flush=True)
    elif not options.quiet:
        print(report.summary(ended, sys.stdout.encoding), flush=True)
    failure = ended.outcome.failure
    if failure and failure.kind in BROKEN:
        _print_error(failure.message, ended.hint)


def _print_error(message: str, hint: str) -> None:
    print(f"Error: {message}", file=sys.stderr)
    if hint:
        print(f"Try: {hint}", file=sys.stderr)
