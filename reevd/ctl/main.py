"""The command `reevctl`: asks the daemon and prints what it says, for people or with --json for programs."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module

from reevd.ctl import render
from reevd.ctl.client import UnreachableError
from reevd.ctl.commands import MODULES
from reevd.ctl.shell import DONE, NO_DAEMON, NOT_FOUND, UNSUCCESSFUL, USAGE, RefusedError, Shell
from reevd.ctl.usage import Command, read
from reevd.errors import ConfigError, ReevdError

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from collections.abc import Sequence


def _commands(arguments: Sequence[str]) -> dict[str, Command]:
    """The one that is asked for, since each costs time to load and to describe; all of them where none is."""
    asked = _asked(arguments)
    found: dict[str, Command] = {}
    for module, names in MODULES.items():
        if asked in names:
            return {asked: import_module(f"reevd.ctl.{module}").COMMANDS[asked]}
    for module in MODULES:
        found |= import_module(f"reevd.ctl.{module}").COMMANDS
    return found


def _asked(arguments: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of one."""
    for before, word in zip(("", *arguments), arguments, strict=False):
        names_socket = len(before) > 2 and "--socket".startswith(before)  # argparse takes the beginning for the whole
        if not word.startswith("-") and not names_socket:
            return word
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 done; 1 Failed, Stopped or Timeout; 2 usage; 3 no daemon; 4 not found; 124 timed out."""
    own = arguments is None
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = _commands(arguments)
    asked = read(commands, arguments, _asked(arguments))
    shell = Shell(asked)
    try:
        ended = commands[asked.command].run(shell)
        sys.stdout.flush()  # here, where a closed pipe is expected
    except UnreachableError as error:
        hint = error.hint or "start `reevd`, or name its socket with --socket or REEVD_SOCKET"
        if isinstance(error.__cause__, PermissionError):
            hint = f"be a member of the socket's group: ls -l {shell.client.path}"
        _complain(f"asking reevd on {shell.asked_on()}: {error}", hint)
        return NO_DAEMON
    except RefusedError as error:
        _complain(str(error), error.hint)
        return {400: USAGE, 404: NOT_FOUND}.get(error.status, UNSUCCESSFUL)
    except ReevdError as error:
        _complain(str(error), error.hint)
        return USAGE if isinstance(error, ConfigError) else UNSUCCESSFUL
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        _complain(f"{error.filename or 'writing'}: {error.strerror or error}", "")
        return UNSUCCESSFUL
    except KeyboardInterrupt:
        return 130
    else:
        return ended
    finally:
        shell.client.close()
        if own:
            gc.freeze()  # what the process holds goes with it: looking through it all takes a tenth of a short command


def _complain(error: str, hint: str) -> None:
    print(f"Error: {render.safe(error)}", file=sys.stderr)
    if hint:
        print(f"Try: {hint}", file=sys.stderr)
