"""Wakes whoever waits for changes. It looks at the database only while somebody does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import apsw
import structlog

from reevd.api.changes import Changes

POLL_SECONDS = 0.02

log = structlog.get_logger("reevd.events")


class Hub:
    """`listeners`: how many there are."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._changes: Changes | None = None
        self._news = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self.listeners = 0

    @contextlib.contextmanager
    def listen(self, birth: str) -> Iterator[Changes]:
        """The questions to ask while one listens. Raises apsw.Error where the database cannot be read.

        birth: of the database that others are answered from
        """
        if self._changes is None:
            self._changes = Changes(self._database, birth)
            self._watch = asyncio.get_running_loop().create_task(self._look(self._changes))
        self.listeners += 1
        try:
            yield self._changes
        finally:
            self.listeners -= 1
            if self.listeners == 0:
                self.end()

    def ended(self, changes: Changes) -> bool:
        """Whether nothing more will come of these: the database is another one, or the server stops."""
        return changes is not self._changes

    @property
    def news(self) -> asyncio.Event:
        """Set at the next commit. To be taken before one looks, so that no commit falls between."""
        return self._news

    def end(self) -> None:
        """Every listener hears that it is over; the next one begins with the database as it is then."""
        if self._watch is not None:
            self._watch.cancel()
        if self._changes is not None:
            self._changes.close()
        self._changes = self._watch = None
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _look(self, changes: Changes) -> None:
        try:
            seen = changes.version
            while True:
                await asyncio.sleep(POLL_SECONDS)
                version = changes.version
                if version != seen:
                    seen = version
                    self._wake()
        except apsw.Error as error:
            log.warning("the database cannot be watched: listeners are sent away", error=str(error))
            self._watch = None
            self.end()
