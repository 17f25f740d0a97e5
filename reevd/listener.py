"""The Unix socket to answer on: handed over by systemd, or made here, never taken from a living daemon."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time

from reevd.errors import BusyError, ConfigError
from reevd.notify import handed_over

MODE = 0o660
BACKLOG = 2048
LINGER_SECONDS = 2.0
LONGEST = 107  # sockaddr_un holds 108 bytes with the closing NUL


def listen(path: str) -> socket.socket:
    """Raises BusyError where another process answers there, ConfigError where the path cannot be used."""
    if (given := handed_over()) is not None:
        return given
    if len(os.fsencode(path)) > LONGEST:
        raise ConfigError("listening on", path, f"the path is longer than {LONGEST} bytes", "choose another --socket")
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o755, exist_ok=True)
        _clear(path)
        return _bound(path)
    except OSError as error:
        hint = "choose another --socket, or mend its folder"
        raise ConfigError("listening on", path, error.strerror, hint) from error


def _bound(path: str) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode is right before the first connection can come: it is set between bind and listen.
        end.bind(path)
        os.chmod(path, MODE)
        end.listen(BACKLOG)
    except OSError:
        end.close()
        raise
    return end


def _clear(path: str) -> None:
    """Removes a socket that nobody answers on any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigError("listening on", path, "there is a file that is no socket", "choose another --socket")
    except FileNotFoundError:
        return
    # The server of an engine that was killed answers for a moment longer.
    deadline = time.monotonic() + LINGER_SECONDS
    while _answers(path):
        if time.monotonic() > deadline:
            raise BusyError("listening on", path, "another daemon answers there", "stop it, or choose another --socket")
        time.sleep(0.02)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
