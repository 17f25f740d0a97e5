"""Sending one thing to somebody else: an HTTP request or a command, bounded, with a clear word on how it went."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import NamedTuple

MOST_ANSWER, MOST_STDERR = 200, 2_000
UNFIT = (400, 413, 422)
"""The answers that are about what was sent. Any other may be about the way there, or the moment."""


class Refused(urllib.request.HTTPRedirectHandler):
    """A redirect would carry results to where nobody configured them to go."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Sent(NamedTuple):
    """`why` is empty where it arrived. `final`: just this never will, however often it is tried."""

    why: str = ""
    final: bool = False


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Refused)


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Sent:
    """2xx is arrived; 400, 413 and 422 are final."""
    try:
        request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 (checked before)
        with OPENER.open(request, timeout=seconds):
            return Sent()
    except urllib.error.HTTPError as error:
        with error:
            return Sent(f"{url} answered {error.code} {error.reason}: {_said(error)}", error.code in UNFIT)
    except (OSError, ValueError, HTTPException) as error:
        return Sent(f"{url}: {_why(error)}")


def run(command: Sequence[str], environ: Mapping[str, str], seconds: float) -> Sent:
    """Exit status 0 is arrived. What runs longer is killed, with all that it started.

    What it leaves running in the background goes on, and is not waited for.
    """
    try:
        # A file, no pipe: a pipe has no end as long as anything that was started holds it.
        with tempfile.TemporaryFile() as stderr:
            return _run(command, environ, seconds, stderr.fileno())
    except OSError as error:
        return Sent(f"{command[0]}: {error.strerror}")


def _run(command: Sequence[str], environ: Mapping[str, str], seconds: float, stderr: int) -> Sent:
    process = subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return Sent(f"{command[0]} did not end within {seconds:g} s and was killed")
    if status == 0:
        return Sent()
    said = os.pread(stderr, MOST_STDERR, max(0, os.fstat(stderr).st_size - MOST_STDERR))
    return Sent(f"{command[0]} ended with {status}: {said.decode(errors='replace').strip()}")


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return error.read(MOST_ANSWER).decode(errors="replace").strip()
    except (OSError, ValueError, HTTPException) as cut:
        return f"(the rest was not to be read: {_why(cut)})"


def _why(error: Exception) -> object:
    return getattr(error, "reason", None) or str(error) or type(error).__name__
