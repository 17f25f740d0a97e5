"""A module that takes long to load, beside work that must not wait for it."""

from __future__ import annotations

import importlib
import sys
import threading

# Seconds after which whoever loads gives way to whoever works: of the interpreter's own 5 ms, each of the dozens of
# system calls that a file takes would cost one turn.
TURN = 0.0001


class Loading:
    """Loads in a thread of its own, once `begin` was called."""

    def __init__(self, module: str) -> None:
        self._thread = threading.Thread(target=self._load, args=(module,), name="loading", daemon=True)

    @property
    def done(self) -> bool:
        """Whether it has been loaded, or failed to be: who imports it is told why."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def begin(self) -> None:
        """Begins, where that has not been done."""
        if self._thread.ident is None:
            self._thread.start()

    def _load(self, module: str) -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(TURN)
        try:
            importlib.import_module(module)
        finally:
            sys.setswitchinterval(before)
