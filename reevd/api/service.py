"""What every endpoint shares: the open database, the link to the engine, and who may change things."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import apsw
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from reevd.api.answers import problem
from reevd.api.gate import Gate
from reevd.api.hub import Hub
from reevd.api.query import Query
from reevd.api.questions import peer
from reevd.api.rows import SECONDS, Filter, Page
from reevd.api.traffic import Traffic
from reevd.link import LinkError, ServerEnd

# Of questions that take long, under way or waiting for one of so many threads.
SLOW_OF_ONE, SLOW, THREADS = 8, 32, 4


class Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)
T = TypeVar("T")


class Service:
    """`end` of the link is set once the server runs; until then, and when the engine is silent, health says so.

    started_at: microseconds since 1970; database and sessions folder: absolute paths; writers: as in the settings
    """

    def __init__(
        self, database: str, sessions: str, admin_gid: int | None, started_at: int, writers: Sequence[str] = ()
    ) -> None:
        self.database, self.sessions, self.writers = database, sessions, writers
        self.started_at, self._admin_gid = started_at, admin_gid
        self._query: Query | None = None
        self.end: ServerEnd | None = None
        self.hub = Hub(database)
        self.traffic = Traffic()
        self._slow = Gate(SLOW_OF_ONE, SLOW, "questions that take long")
        self._threads = ThreadPoolExecutor(THREADS, "question")

    @property
    def query(self) -> Query:
        """The open database; opened when first asked, since the engine may be making it just now."""
        if self._query is None:
            self._query = Query(self.database)
        return self._query

    async def search(self, uid: int, wanted: Filter, ask: Callable[[Query], Page]) -> Page:
        """The page, for that user; `apart` where it takes long."""
        if not wanted.slow:
            return ask(self.query)
        try:
            return await self.apart(uid, lambda path, birth: Query(path, birth, SECONDS), ask)
        except apsw.InterruptError:
            raise HTTPException(503, f"it took more than {SECONDS:g} s: ask for less with since or until") from None

    async def apart(self, uid: int, make: Callable[[str, str], C], ask: Callable[[C], T]) -> T:
        """What is answered in a thread, on a connection of its own: the others are answered meanwhile."""
        birth = self.query.birth
        if why := self._slow.enter(uid):
            raise HTTPException(503, f"{why}: try again when they are answered")

        def whole() -> T:
            with contextlib.closing(make(self.database, birth)) as connection:
                return ask(connection)

        loop = asyncio.get_running_loop()

        def leave(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(self._slow.leave, uid)

        try:
            asked = self._threads.submit(whole)
        except RuntimeError:  # there is no thread to be had
            self._slow.leave(uid)
            raise
        asked.add_done_callback(leave)  # not before the thread is done, also where who asked has gone away
        return await asyncio.wrap_future(asked)

    def open(self) -> None:
        """Before anybody asks: one that is being made anew later must not be the first that is seen."""
        with contextlib.suppress(apsw.Error):  # who asks is told
            _ = self.query

    def reopen(self) -> None:
        """The database is another file than before."""
        self.hub.end()
        if self._query is not None:
            self._query.close()
            self._query = None

    async def suspect(self) -> None:
        """A reader met damage. The engine may not have: it looks, and makes the database anew where it finds it too."""
        with contextlib.suppress(LinkError):
            await self.link.call("suspect")

    @property
    def link(self) -> ServerEnd:
        """To the engine. Raises LinkError before it is there."""
        if self.end is None:
            raise LinkError("asking the engine: it is not there yet: try again in a moment")
        return self.end

    def refusal(self, request: Request, action: str) -> Response | None:
        """None where the peer may change things: root, the daemon's own user, members of the admin group."""
        who = peer(request)
        uid = who["uid"]
        if uid in (0, os.geteuid()) or self._admin_gid in who["groups"]:
            return None
        return problem(
            403, "forbidden", f"user {uid} may not {action}: ask a member of the daemon's admin group, or its own user"
        )
