"""An execution id, taken: no two runs of one folder go by the same, wherever their telemetry goes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path

from runner.errors import RunnerError, UsageError

F_OFD_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)  # Linux; the module names it in newer Pythons only
FLOCK = struct.Struct("hhqqi4x")


def lock(descriptor: int) -> None:
    """Raises BlockingIOError where another holds it, OSError where the file system has no locks."""
    # An open-file-description lock: no reader can hold it by chance, and it goes when the process goes.
    fcntl.fcntl(descriptor, F_OFD_SETLK, FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


class Claim:
    """Held from its making until `close`, on `{folder}/.session_{execution_id}.lock`, which goes with it."""

    def __init__(self, folder: Path, execution_id: str) -> None:
        """Raises UsageError where another run goes by the id, RunnerError where the folder cannot be written."""
        self._path = folder / f".session_{execution_id}.lock"
        self._descriptor = self._taken(execution_id)
        while not self._stands():  # whoever held it before has just removed it: the next one makes another
            os.close(self._descriptor)
            self._descriptor = self._taken(execution_id)

    def close(self) -> None:
        # A file that stays, as after a kill, keeps nobody out: the lock on it goes with its descriptor.
        with contextlib.suppress(OSError):
            if self._stands():
                self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _taken(self, execution_id: str) -> int:
        doing = "claiming the execution id"
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            hint = "check the folder's owner and mode, or give another with --sessions-dir"
            raise RunnerError(doing, f"{execution_id} in {self._path.parent}", error.strerror, hint) from None
        try:
            lock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            hint = "give another --execution-id, or none for a fresh one"
            raise UsageError(doing, execution_id, "another run goes by it", hint) from None
        except OSError as error:
            os.close(descriptor)
            raise RunnerError(doing, str(self._path), error.strerror, "use a file system that has locks") from None
        return descriptor

    def _stands(self) -> bool:
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))
