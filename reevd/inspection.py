"""Reads the whole database once, beside the work, to find damage before a reader does."""

from __future__ import annotations

import contextlib
import threading

import apsw

from reevd.database import DAMAGED, damage, interrupt


class Inspection:
    """`damage` says what is wrong, once it is known; None until then, and where nothing is."""

    def __init__(self, path: str, vfs: str | None = None) -> None:
        self.damage: str | None = None
        self._db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)

    def begin(self) -> None:
        """Begins, where that has not been done. Where no thread can be had, the next call tries again."""
        if self._thread.ident is None:
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    @property
    def under_way(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        # SQLite lets go of the interpreter while it reads, so that this takes a core and not the engine's time.
        try:
            self.damage = damage(self._db)
        except DAMAGED as error:
            self.damage = str(error)
        except apsw.Error:
            pass  # interrupted, or the disk fails: the engine will see the latter by itself

    def close(self) -> None:
        """Ends it, finished or not."""
        with contextlib.suppress(apsw.ConnectionClosedError):
            interrupt(self._db, self._thread)
            self._db.close()
