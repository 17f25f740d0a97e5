"""The arguments of `reevctl`: what every command takes, and what several take."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reevd.ctl.shell import Shell


def no_arguments(_: ArgumentParser) -> None:
    pass


class Command:
    """One command: its first docstring line is its help. `arguments` adds what it takes to its parser."""

    def __init__(self, run: Callable[[Shell], int], arguments: Callable[[ArgumentParser], None] = no_arguments) -> None:
        self.run, self.arguments = run, arguments

    @property
    def help(self) -> str:
        return (self.run.__doc__ or "").splitlines()[0]


def parser(commands: Mapping[str, Command]) -> ArgumentParser:
    """The parser of these commands."""
    found = ArgumentParser(prog="reevctl", description="Asks reevd how the executions stand.")
    found.add_argument(
        "--socket", help="the daemon's socket (REEVD_SOCKET; ./logs/state/reevd.sock; /run/reevd/reevd.sock)"
    )
    found.add_argument("--json", action="store_true", help="print what the API answered")
    subparsers = found.add_subparsers(prog="reevctl", dest="command", metavar="COMMAND", required=True)
    for name, command in commands.items():
        sub = subparsers.add_parser(name, help=command.help, description=command.help)
        # Also behind the command; only what is given there overrides what stands before it.
        sub.add_argument("--json", action="store_true", default=SUPPRESS, help="print what the API answered")
        command.arguments(sub)
    return found


def one_id(sub: ArgumentParser) -> None:
    sub.add_argument("id", help="execution id")


def filters(sub: ArgumentParser) -> None:
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
