"""reev-runner: the command line."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.agents import AGENTS, Agents
from runner.errors import RunnerError, StoppedError
from runner.options import read
from runner.otel_file import exported, warning
from runner.output import say
from runner.record import Mode, Order
from runner.session import sessions_dir
from runner.stop import Stop

if TYPE_CHECKING:
    from runner.case import Case
    from runner.chain import Chain
    from runner.execute import Ended

BROKEN = ("agent", "chain", "internal")


def main(argv: Sequence[str] | None = None, *, mode: Mode = "installed", agents: Agents = AGENTS) -> int:
    """Runs what the command line asks for and returns the exit status. `agents` are the ones it knows, by name."""
    given = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is no reason to fail a run that is over
            stream.reconfigure(errors="backslashreplace")
    try:
        if given[:1] == ["lint"]:
            from runner.lint_command import main as lint

            return lint(given[1:])
        stop = Stop()
        return _run(read(given, agents), mode, agents, stop)
    except RunnerError as error:
        _print_error(str(error), error.hint)
        return error.exit_status
    except StoppedError as stopped:
        _print_error(stopped.message, "")
        return stopped.exit_status
    except BrokenPipeError:
        return 1  # whoever read our output is gone; the files stand


def _run(options: argparse.Namespace, mode: Mode, agents: Agents, stop: Stop) -> int:
    # Loaded here: asking for the version or the help needs none of it.
    from runner.case_file import load
    from runner.case_folder import find

    ids: dict[str, Path] = {}
    with stop.exposed():  # no session stands yet that would have to say how it ended
        paths = [found for path in options.paths for found in find(path)]
        if options.validate:
            from runner.validate import validate

            return validate(paths, as_json=options.json, quiet=options.quiet)
        cases = [case for path in paths for case in [load(path, ids)] * options.repeat]
    odd = warning(os.environ)
    if odd and not options.quiet:
        print(f"Warning: {odd}", file=sys.stderr)
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
    if order.case.needs and options.execution_id is None:
        # Refused, it leaves nothing: nobody waits for that id, and what is missing here is no failure of the agent.
        with stop.exposed():
            open_chain()
    return execute(order, open_chain, agents[options.agent], stop, os.environ)


def _told(ended: Ended) -> dict[str, Any]:
    from runner import report

    return {**ended.to_json(), "hint": ended.hint, "text": report.summary(ended, getattr(sys.stdout, "encoding", None))}


def _run_many(orders: list[Order], options: argparse.Namespace, agents: Agents, stop: Stop) -> int:
    from runner import many, summary

    _warm(options)
    bar = sys.stderr.isatty() and not options.quiet
    told: list[dict[str, Any]] = []
    work = many.run(len(orders), options.jobs, lambda i: _attempt(orders[i], options, agents, stop), stop)
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
        _print_json({"summary": [row._asdict() for row in rows]})
    elif not options.quiet:
        say(f"\n{summary.table(rows)}")
    return 130 if stop.interrupted else many.failed([each["exit_status"] for each in told])


def _attempt(order: Order, options: argparse.Namespace, agents: Agents, stop: Stop) -> dict[str, Any]:
    """One of many: what keeps it from leaving its files is told of it, and the others go on."""
    try:
        return _told(_execute(order, options, agents, stop))
    except RunnerError as error:
        return {"exit_status": error.exit_status, "refused": str(error), "kind": error.kind, "hint": error.hint}
    except StoppedError as stopped:
        return {"exit_status": stopped.exit_status, "refused": stopped.message, "kind": stopped.kind, "hint": ""}


def _warm(options: argparse.Namespace) -> None:
    """What every run needs is loaded once, before there are several of us."""
    import runner.execute
    import runner.telemetry

    if exported(os.environ):
        import runner.collector
    if not options.rpc_url:
        import runner.chain.litesvm  # noqa: F401
        from runner.memory import keep

        keep()


def _fresh_id() -> str:
    import uuid

    return str(uuid.uuid4())


def _open_chain(case: Case, rpc_url: str | None) -> Chain:
    """Raises ChainError also where the case needs what is not there: then it does not even begin."""
    from runner.needs import open_chain

    return open_chain(case, rpc_url)


def _print(told: dict[str, Any], options: argparse.Namespace) -> None:
    """One execution: its lines, or its JSON; what broke it goes to stderr."""
    if "died" in told or "refused" in told:
        name = f"{told['benchmark_id']} ({told['execution_id']})"
        message = told.get("refused") or f"running {name}: {told['died']}"
        if options.json:
            error = {"kind": told.get("kind", "internal"), "message": message}
            _print_json({**told, "success": False, "score": None, "status": "Failed", "error": error})
        _print_error(message, told["hint"])
        return
    if options.json:
        _print_json(told)
    elif not options.quiet:
        say(told["text"])
    failure = told["error"]
    if failure and failure["kind"] in BROKEN:
        _print_error(failure["message"], told["hint"])


def _print_json(told: dict[str, Any]) -> None:
    import orjson

    inside = ("hint", "text", "died", "refused", "kind")
    say(orjson.dumps({k: v for k, v in told.items() if k not in inside}).decode())


def _print_error(message: str, hint: str) -> None:
    print(f"Error: {message}", file=sys.stderr)
    if hint:
        print(f"Try: {hint}", file=sys.stderr)
