"""Sending one thing to somebody else: an HTTP request or a command, bounded, with a clear word on how it went."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MOST_STDERR = 2_000


class Refused(urllib.request.HTTPRedirectHandler):
    """A redirect would carry results to where nobody configured them to go."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class Sent(NamedTuple):
    """`why` is empty where it arrived. `final`: it never will, however often it is tried."""

    why: str = ""
    final: bool = False


OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), Refused)


def post(url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Sent:
    """2xx is arrived; 4xx is final, but for 408 and 429."""
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 (checked with the settings)
    try:
        with OPENER.open(request, timeout=seconds):
            return Sent()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(200).decode(errors="replace")
        final = 300 <= error.code < 500 and error.code not in (408, 429)
        return Sent(f"{url} answered {error.code} {error.reason}: {said}".strip(), final)
    except (OSError, ValueError) as error:
        return Sent(f"{url}: {getattr(error, 'reason', None) or error or type(error).__name__}")


def run(command: Sequence[str], environ: Mapping[str, str], seconds: float) -> Sent:
    """Exit status 0 is arrived. What runs longer is killed, with all that it started."""
    try:
        process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return Sent(f"{command[0]}: {error.strerror}")
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Sent(f"{command[0]} did not end within {seconds:g} s and was killed")
    if process.returncode == 0:
        return Sent()
    return Sent(f"{command[0]} ended with {process.returncode}: {said[-MOST_STDERR:].decode(errors='replace').strip()}")
