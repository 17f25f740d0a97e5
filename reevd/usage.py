"""The arguments of `reevctl`."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Mapping


def parser(commands: Mapping[str, str]) -> ArgumentParser:
    """`commands`: name to one line about it."""
    found = ArgumentParser(prog="reevctl", description="Asks reevd how the executions stand.")
    found.add_argument(
        "--socket", help="the daemon's socket (REEVD_SOCKET; ./logs/state/reevd.sock; /run/reevd/reevd.sock)"
    )
    found.add_argument("--json", action="store_true", help="print what the API answered")
    subparsers = found.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in commands.items():
        sub = subparsers.add_parser(name, help=line, description=line)
        # Also behind the command; only what is given there overrides what stands before it.
        sub.add_argument("--json", action="store_true", default=SUPPRESS, help="print what the API answered")
        if name in ("show", "history", "tools"):
            sub.add_argument("id", help="execution id")
        elif name == "status":
            sub.add_argument("id", nargs="?", help="execution id; without it, all of them in short")
        elif name == "wait":
            sub.add_argument("id", nargs="+", help="execution ids")
            sub.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long: exit status 124")
        elif name == "verify":
            sub.add_argument("--config", metavar="FILE", help="the daemon's settings (REEVD_CONFIG)")
            sub.add_argument("--sessions-dir", metavar="DIR", help="instead of the settings' folder")
            sub.add_argument("--database", metavar="FILE", help="instead of the settings' database")
        elif name == "list":
            _add_filters(sub)
    return found


def _add_filters(sub: ArgumentParser) -> None:
    sub.add_argument(
        "--status", action="append", help="Queued, Running, Completed, Failed, Stopped, Timeout; may be repeated"
    )
    sub.add_argument("--agent")
    sub.add_argument("--benchmark", metavar="ID")
    sub.add_argument("--since", metavar="TIME", help="created then or later, such as 2026-01-31T12:00:00Z")
    sub.add_argument("--until", metavar="TIME", help="created then or earlier")
    sub.add_argument("--min-score", type=float)
    sub.add_argument("--max-score", type=float)
    sub.add_argument("--text", help="in the id, the benchmark, the agent, the reason or the error")
    sub.add_argument("--limit", type=int, default=100, help="at most so many, 1000 at most (default: 100)")
    sub.add_argument("--cursor", help="go on where the last page ended")
