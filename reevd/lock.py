"""Locks: the runner's on its telemetry, and the daemon's own on its database.

A runner holds an open-file-description write lock on its telemetry while it lives. Unlike flock, nobody can
take or fake it with a descriptor for reading: such a one gets read locks, which do not count. And a child that
inherits the file does not keep it... unless it inherits the descriptor itself, which our runner's do not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from reevd.errors import BusyError

F_OFD_GETLK = 36  # Linux; the module fcntl names it from Python 3.12 on only
FLOCK = struct.Struct("hhqqi4x")


def held(descriptor: int) -> bool:
    """Whether some process holds a write lock on the file. Raises OSError where the file system has no such locks."""
    asked = FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
    kind: int = FLOCK.unpack(fcntl.fcntl(descriptor, F_OFD_GETLK, asked))[0]
    return kind != fcntl.F_UNLCK


def hold(path: str) -> int:
    """Takes the daemon's lock for as long as the returned descriptor is open. Raises BusyError if it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise BusyError(
            "starting on",
            path,
            f"another reevd (process {owner}) uses this database",
            "ask that one with reevctl, stop it, or give this one its own --database",
        ) from None
    with contextlib.suppress(OSError):  # a full disk: the lock is the lock, the number is for people
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor
