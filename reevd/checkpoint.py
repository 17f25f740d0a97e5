"""Moves the log into the database beside the work: most of that is waiting for the disk."""

from __future__ import annotations

import contextlib
import threading

import apsw

from reevd import database


class Checkpoint:
    """On a connection of its own, which is open as long as this stands: of the same database, wherever that goes.

    `begin`, `wait` until none is under way, `end`.
    """

    def __init__(self, path: str, vfs: str | None = None) -> None:
        self._db = database.connect(path, vfs)
        self._thread: threading.Thread | None = None
        self._error: apsw.Error | None = None
        self._moved: int | None = None

    @property
    def begun(self) -> bool:
        """Whether one was begun, and not ended yet."""
        return self._thread is not None

    def begin(self) -> bool:
        """Begins one, as patient with others as the thread that asks for it. False where no thread can be had."""
        thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        # SQLite lets go of the interpreter meanwhile.
        try:
            log, moved = self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._moved = moved if moved == log else None
        except apsw.BusyError:
            pass  # somebody else moves it
        except apsw.Error as error:
            self._error = error

    def wait(self, seconds: float) -> bool:
        """Whether none is under way any more; waits so long for that."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def end(self) -> int | None:
        """Ends one that is no longer under way. Raises apsw.Error, as the disk did.

        Returns how many pages of the log are in the database by now; None where not all are: a reader needs
        the rest in the log, or somebody else moves it.
        """
        moved, error = self._moved, self._error
        self._thread = self._moved = self._error = None
        if error is not None:
            raise error
        return moved

    def close(self) -> None:
        """Ends it, finished or not."""
        with contextlib.suppress(apsw.Error):
            if self._thread is not None:
                database.interrupt(self._db, self._thread)
            self._db.close()
