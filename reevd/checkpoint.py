"""Moves the log into the database beside the work: most of that is waiting for the disk."""

from __future__ import annotations

import contextlib
import threading

import apsw

from reevd import database

# What was stored while the log was moved is moved too, so that little is left for who stores.
PASSES = 2


class Checkpoint:
    """On a connection of its own, which is open as long as this stands: of the same database, wherever that goes."""

    def __init__(self, path: str, vfs: str | None = None) -> None:
        self._db = database.connect(path, vfs)
        self._thread: threading.Thread | None = None
        self._error: apsw.Error | None = None

    @property
    def begun(self) -> bool:
        """Whether one was begun, and not ended yet."""
        return self._thread is not None

    @property
    def under_way(self) -> bool:
        """Whether `end` would have to wait."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self) -> None:
        """Begins one, as patient with others as the thread that asks for it."""
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # SQLite lets go of the interpreter meanwhile.
        try:
            for _ in range(PASSES):
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            self._error = error

    def end(self) -> None:
        """Waits for its end. Raises apsw.Error, as the disk does."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            error, self._error = self._error, None
            if error is not None:
                raise error

    def close(self) -> None:
        """Ends it, finished or not."""
        with contextlib.suppress(apsw.Error):
            while self._thread is not None and self._thread.is_alive():
                self._db.interrupt()
                self._thread.join(0.05)
            self._db.close()
