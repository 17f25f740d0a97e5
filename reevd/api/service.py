"""What every endpoint shares: the open database, the link to the engine, and who may change things."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from reevd.api.answers import problem
from reevd.api.hub import Hub
from reevd.api.query import Query
from reevd.api.questions import peer
from reevd.api.rows import Filter, Page
from reevd.api.traffic import Traffic
from reevd.link import LinkError, ServerEnd


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

    @property
    def query(self) -> Query:
        """The open database; opened when first asked, since the engine may be making it just now."""
        if self._query is None:
            self._query = Query(self.database)
        return self._query

    async def search(self, wanted: Filter, ask: Callable[[Query], Page]) -> Page:
        """The page. In a thread, on a connection of its own, where it takes long: the others are answered meanwhile."""
        if not wanted.slow:
            return ask(self.query)

        def whole() -> Page:
            with contextlib.closing(Query(self.database)) as query:
                return ask(query)

        return await asyncio.to_thread(whole)

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
