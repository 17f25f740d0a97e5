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
from runner.session import DEFAULT_SESSIONS, EXECUTION_ID, HOST_SESSIONS, sessions_dir
from runner.stop import Stop

if TYPE_CHECKING:
    from runner.case import Case
    from runner.chain import Chain
    from runner.execute import Ended

DEFAULT_TIMEOUT, MAX_TIMEOUT = 300.0, 3600.0
SESSIONS_HELP = f"default: REEV_SESSIONS_DIR, else {DEFAULT_SESSIONS}, else {HOST_SESSIONS} where that is there"
MOST = 100_000
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
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["lint"]:
        from runner.lint_command import main as lint

        return lint(given[1:])
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
    for name in ("repeat", "jobs"):
        if not 1 <= getattr(options, name) <= MOST:
            raise UsageError(doing, f"--{name}", f"it must be between 1 and {MOST:,}", f"--{name} 1")
    if options.execution_id is None:
        return
    if len(options.paths) > 1 or options.repeat > 1 or options.paths[0].is_dir():
        why = "there are several executions, and each gets an id of its own"
        raise UsageError(doing, "--execution-id", why, "name one file, or leave the id out")
    if not EXECUTION_ID.fullmatch(options.execution_id):
        why = "an id has 1 to 128 letters, digits, '.', '_' and '-', and begins with a letter or a digit"
        raise UsageError(doing, f"--execution-id {options.execution_id[:140]!r}", why, "leave it out for a fresh UUID")


def _run(options: argparse.Namespace, mode: Mode, agents: Agents, stop: Stop) -> int:
    # Loaded here: asking for the version or the help needs none of it.
    from runner.case_file import find, load

    paths = [found for path in options.paths for found in find(path)]
    if options.validate:
        from runner.validate import validate

        return validate(paths, as_json=options.json, quiet=options.quiet)
    cases = [case for case in map(load, paths) for _ in range(options.repeat)]
    folder = sessions_dir(options.sessions_dir)
    orders = [_order(case, options, folder, mode) for case in cases]
    if len(orders) > 1:
        return _run_many(orders, options, agents, stop)
    ended = _execute(orders[0], options, agents, stop)
    _print(_told(ended), options)
    return 130 if stop.interrupted else ended.exit_status


def _order(case: Case, options: argparse.Namespace, folder: Path, mode: Mode) -> Order:
    return Order(
        case=case,
        agent=options.agent,
        execution_id=options.execution_id or _fresh_id(),
        sessions_dir=folder,
        timeout=options.timeout,
        mode=mode,
        chain="rpc" if options.rpc_url else "litesvm",
    )


def _execute(order: Order, options: argparse.Namespace, agents: Agents, stop: Stop) -> Ended:
    from runner.execute import execute

    open_chain = partial(_open_chain, order.case, options.rpc_url)
    return execute(order, open_chain, agents[options.agent], stop, os.environ)


def _told(ended: Ended) -> dict[str, Any]:
    from runner import report

    return {**ended.to_json(), "hint": ended.hint, "text": report.summary(ended, sys.stdout.encoding)}


def _run_many(orders: list[Order], options: argparse.Namespace, agents: Agents, stop: Stop) -> int:
    from runner import many, summary

    _warm(options)
    bar = sys.stderr.isatty() and not options.quiet
    told: list[dict[str, Any]] = []
    work = many.run(len(orders), options.jobs, lambda i: _told(_execute(orders[i], options, agents, stop)), stop)
    for index, found in many.in_order(work):
        order = orders[index]
        known = {"execution_id": order.execution_id, "benchmark_id": order.case.id, "agent": order.agent}
        told.append({**known, **found})
        if bar:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        _print(told[-1], options)
        if bar:
            bad = sum(not each.get("success") for each in told)
            print(summary.bar(len(told), len(orders), bad), end="", file=sys.stderr, flush=True)
    if bar:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    rows = summary.rows(told)
    if options.json:
        import orjson

        print(orjson.dumps({"summary": [row._asdict() for row in rows]}).decode(), flush=True)
    elif not options.quiet:
        print(f"\n{summary.table(rows)}", flush=True)
    return 130 if stop.interrupted else many.failed([each["exit_status"] for each in told])


def _warm(options: argparse.Namespace) -> None:
    """What every run needs is loaded once, before there are several of us."""
    import runner.execute
    import runner.telemetry

    if not options.rpc_url:
        import runner.chain.litesvm  # noqa: F401


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


def _print(told: dict[str, Any], options: argparse.Namespace) -> None:
    """One execution: its lines, or its JSON; what broke it goes to stderr."""
    if "died" in told:
        name = f"{told['benchmark_id']} ({told['execution_id']})"
        _print_error(f"running {name}: {told['died']}", "its session has no result; run it again")
        return
    if options.json:
        import orjson

        print(orjson.dumps({k: v for k, v in told.items() if k not in ("hint", "text")}).decode(), flush=True)
    elif not options.quiet:
        print(told["text"], flush=True)
    failure = told["error"]
    if failure and failure["kind"] in BROKEN:
        _print_error(failure["message"], told["hint"])


def _print_error(message: str, hint: str) -> None:
    print(f"Error: {message}", file=sys.stderr)
    if hint:
        print(f"Try: {hint}", file=sys.stderr)
