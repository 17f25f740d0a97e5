"""The arguments of `reevctl`: what every command takes, and what several take."""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter

from reevd.ctl.commands import GROUPS, HIDDEN

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reevd.ctl.shell import Shell


def no_arguments(_: ArgumentParser) -> None:
    pass


class Command:
    """One command: its docstring is its help, the first line of it the short one.

    arguments   adds what it takes to its parser
    examples    whole lines for a shell
    """

    def __init__(
        self,
        run: Callable[[Shell], int],
        arguments: Callable[[ArgumentParser], None] = no_arguments,
        examples: Sequence[str] = (),
    ) -> None:
        self.run, self.arguments, self.examples = run, arguments, examples

    @property
    def help(self) -> str:
        return (self.run.__doc__ or "").splitlines()[0]


class _Help(RawDescriptionHelpFormatter):
    """As wide as the terminal. Left alone, argparse asks `shutil` for that at every option: a tenth of the start."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    if (given := os.environ.get("COLUMNS", "")).isdecimal() and int(given) > 2:
        return int(given)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


def parser(commands: Mapping[str, Command]) -> ArgumentParser:
    """The parser of these commands."""
    found = ArgumentParser(
        prog="reevctl",
        usage="%(prog)s [--socket PATH] [--json] COMMAND ...",
        description="Asks reevd how the executions stand.",
        epilog=_overview(commands) if len(commands) > 1 else None,
        formatter_class=_Help,
    )
    found.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    found.add_argument("--json", action="store_true", help="print what the API answered: a stable contract")
    subparsers = found.add_subparsers(prog="reevctl", dest="command", metavar="COMMAND", required=True, help=SUPPRESS)
    for name, command in commands.items():
        lines = [line.strip() for line in (command.run.__doc__ or "").strip().splitlines()]
        sub = subparsers.add_parser(
            name,
            description="\n".join(lines),
            epilog="\n".join(("examples:", *(f"  {line}" for line in command.examples))) if command.examples else None,
            formatter_class=_Help,
        )
        # Also behind the command; only what is given there overrides what stands before it.
        sub.add_argument("--json", action="store_true", default=SUPPRESS, help="print what the API answered")
        sub.add_argument("--socket", metavar="PATH", default=SUPPRESS, help="the daemon's socket")
        command.arguments(sub)
    return found


def _overview(commands: Mapping[str, Command]) -> str:
    lines = []
    for title, modules in GROUPS.items():
        lines.append(f"{title}:")
        names = [name for several in modules.values() for name in several if name not in HIDDEN]
        lines += [*(f"  {name:<13}{commands[name].help}" for name in names), ""]
    return "\n".join([*lines, REST])


REST = """\
exit status:
  0 done; for wait and run --wait: Completed     3 the daemon is not there
  1 Failed, Stopped or Timeout; it did not work  4 there is none of that name
  2 usage                                        124 its own --timeout has run out

environment:
  REEVD_SOCKET  where the daemon answers; else ./logs/state/reevd.sock, else /run/reevd/reevd.sock
  NO_COLOR      no colour, also on a terminal

`reevctl COMMAND --help` says more of each."""


def one_id(sub: ArgumentParser) -> None:
    sub.add_argument("id", help="execution id")


def count(text: str) -> int:
    """The type of an option that is a number of things."""
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        raise ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text[:9])


def seconds(text: str) -> float:
    """The type of an option that is a time which ends."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1e9:
        raise ArgumentTypeError(f"{text!r} is no number of seconds")
    return found


def whose(sub: ArgumentParser) -> None:
    sub.add_argument("--agent", help="only what this agent ran")
    sub.add_argument("--benchmark", metavar="ID", help="only runs of this benchmark")


def filters(sub: ArgumentParser) -> None:
    sub.add_argument(
        "--status", action="append", help="Queued, Running, Completed, Failed, Stopped, Timeout; may be repeated"
    )
    whose(sub)
    sub.add_argument("--since", metavar="TIME", help="created then or later, such as 2026-01-31T12:00:00Z")
    sub.add_argument("--until", metavar="TIME", help="created then or earlier")
    sub.add_argument("--min-score", type=float, metavar="SCORE", help="with so much or more, 0 to 1")
    sub.add_argument("--max-score", type=float, metavar="SCORE", help="with so much or less")
    sub.add_argument("--text", help="in the id, the benchmark, the agent, the reason or the error")
    sub.add_argument("--cursor", help="go on where the last page ended")
