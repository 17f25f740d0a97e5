"""The command that takes a backup: the daemon's copy, opened and checked before it is called one."""

from __future__ import annotations

import contextlib
import os
from argparse import ArgumentParser

from reevd.ctl import render
from reevd.ctl.shell import DONE, Shell
from reevd.ctl.usage import Command
from reevd.errors import ReevdError

WRITING = "writing the backup"


def backup(shell: Shell) -> int:
    """Copies the database while the daemon goes on, and checks the copy by opening it.

    `reevd restore FILE` puts it back.
    """
    from reevd.restoring import RestoreError, check  # it opens a database, as no other command does

    path = shell.asked.file
    if os.path.lexists(path) and not shell.asked.force:
        raise ReevdError(
            WRITING, path, "there is something of that name already", "another name; or --force, to replace it"
        )
    torn = f"{path}.tmp"
    try:
        # What it holds is for those who may ask the daemon: not for everybody on this host.
        with open(os.open(torn, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            size = shell.download("/backup", file)
            file.flush()
            os.fsync(file.fileno())
        found = check(torn)
        os.replace(torn, path)
    except OSError as error:
        raise ReevdError(WRITING, path, error.strerror or error, "a place with room where you may write") from error
    except RestoreError as error:
        raise ReevdError(error.doing, path, error.why, error.hint) from error
    finally:
        with contextlib.suppress(OSError):  # it is in its place; or why it is not has been said
            os.unlink(torn)
    told = {"file": path, "bytes": size, "schema": found.schema, "executions": found.executions}
    text = f"{path}: {size:,} bytes, {render.counted(found.executions, 'execution')}, schema {found.schema}; checked"
    shell.say(told, render.safe(text))
    return DONE


def _file(sub: ArgumentParser) -> None:
    sub.add_argument("file", metavar="FILE", help="where to put it; what stands there is kept")
    sub.add_argument("--force", action="store_true", help="replace what stands there, once the new one is checked")


COMMANDS = {"backup": Command(backup, _file, ('reevctl backup "reevd-$(date +%F).sqlite3"',))}
