"""What is printed of the work: whole lines, at once; where they cannot be, that is told, and once."""

from __future__ import annotations

import os
import sys

from runner.errors import RunnerError


def say(text: str) -> None:
    """Raises BrokenPipeError where whoever read it is gone, RunnerError where there is no room for it."""
    try:
        print(text, flush=True)
    except OSError as error:
        # The interpreter must not stumble over the rest of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        hint = "free some space, or send it elsewhere; the files of the runs stand"
        raise RunnerError("writing to", "standard output", error.strerror, hint) from error
