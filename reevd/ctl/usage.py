"""The arguments of `reevctl`: what every command takes, and what several take."""

from __future__ import annotations

import os
import time
from argparse import SUPPRESS, ArgumentError, ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter

from reevd.ctl.commands import GROUPS, HIDDEN, MODULES
from reevd.ctl.render import MARKS

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from argparse import Namespace
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
        super().__init__(prog, width=columns() - 2)


def columns() -> int:
    """Of the terminal; 80 where there is none."""
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
        epilog=f"{_overview(commands)}\n{REST}" if len(commands) > 1 else None,
        formatter_class=_Help,
        exit_on_error=False,
    )
    found.add_argument("--socket", metavar="PATH", help="the daemon's socket")
    found.add_argument("--json", action="store_true", help="print what the API answered: a stable contract")
    subparsers = found.add_subparsers(prog="reevctl", dest="command", metavar=COMMAND, help=SUPPRESS)
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


def read(commands: Mapping[str, Command], arguments: Sequence[str], word: str) -> Namespace:
    """What is asked for. Ends the program with 2 where that is nothing, or nothing known.

    word: what stands where the command should
    """
    whole = parser(commands)
    try:
        asked = whole.parse_args(arguments)
    except ArgumentError as error:
        whole.error(_unknown(word) if error.argument_name == COMMAND else str(error))
    if asked.command is None:
        whole.epilog = (
            f"{_overview(commands)}\n`reevctl --help` says more, `reevctl COMMAND --help` has examples of each."
        )
        whole.exit(2, whole.format_help())
    return asked


def _unknown(word: str) -> str:
    from difflib import get_close_matches  # who types well does not wait for it

    names = [name for several in MODULES.values() for name in several if name not in HIDDEN]
    close = get_close_matches(word.lower(), names)
    return f"no command {word!r}: " + (
        f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"
    )


def _overview(commands: Mapping[str, Command]) -> str:
    lines = []
    for title, modules in GROUPS.items():
        lines.append(f"{title}:")
        names = [name for several in modules.values() for name in several if name not in HIDDEN]
        lines += [*(f"  {name:<13}{commands[name].help}" for name in names), ""]
    return "\n".join(lines)


COMMAND = "COMMAND"
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


def case_id(text: str) -> str:
    """The type of a benchmark's id; the path of a case, as the runner takes it, stands for the case's name."""
    name, ending = os.path.splitext(os.path.basename(text))
    return name if ending in (".yml", ".yaml") else text


def state(text: str) -> str:
    """The type of one status or several with commas between, in capitals or small letters."""
    names = [name for name in text.split(",") if name]
    if wrong := [name for name in names if name.capitalize() not in MARKS]:
        raise ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(MARKS)}")
    return ",".join(map(str.capitalize, names))


def moment(text: str) -> str:
    """The type of a time, as the API takes it."""
    from reevd.ctl.moment import FORMS, told  # only what is asked of a time pays for it

    found = told(text, time.time())
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no time: give {FORMS}")
    return found


def period(sub: ArgumentParser) -> None:
    forms = "2026-01-31, 2026-01-31T12:00:00Z, today, yesterday (UTC), or so long ago: 30m, 1h, 2d, 1w"
    sub.add_argument("--since", type=moment, metavar="TIME", help=f"created then or later: {forms}")
    sub.add_argument("--until", type=moment, metavar="TIME", help="created then or earlier; as --since")


def whose(sub: ArgumentParser) -> None:
    sub.add_argument("--agent", help="only what this agent ran")
    sub.add_argument("--benchmark", type=case_id, metavar="ID", help="only runs of this benchmark")


def filters(sub: ArgumentParser) -> None:
    several = f"{', '.join(MARKS)}, in any case; may be repeated"
    sub.add_argument("--status", type=state, action="append", help=several)
    whose(sub)
    period(sub)
    sub.add_argument("--min-score", type=float, metavar="SCORE", help="with so much or more, 0 to 1")
    sub.add_argument("--max-score", type=float, metavar="SCORE", help="with so much or less")
    sub.add_argument("--text", help="in the id, the benchmark, the agent, the reason or the error")
    sub.add_argument("--cursor", help="go on where the last page ended")
