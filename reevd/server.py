"""The API: HTTP questions to database answers. Everything but a sync is answered from the database alone."""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from typing import Any

import apsw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reevd import __version__
from reevd.answers import FAILURES, JSON, array, problem, unknown
from reevd.clock import Clock
from reevd.link import LinkError, ServerEnd
from reevd.model import Status
from reevd.query import Query
from reevd.questions import filter_, paging
from reevd.times import SECOND, rfc3339

ONE = "/api/v1/executions/"
SYNC_SECONDS = 600.0
HEALTH_SECONDS = 2.0

Endpoint = Callable[[Request], Awaitable[Response]]


class API:
    """`link` is set once the server runs; until then, and when the engine is silent, health says so."""

    def __init__(self, database: str, socket: str, admin_gid: int | None, started_at: int) -> None:
        self._database, self._socket, self._admin_gid, self._started_at = database, socket, admin_gid, started_at
        self._query: Query | None = None
        self.link: ServerEnd | None = None

    def app(self) -> ASGIApp:
        """The whole API. The question asked most, for one execution, does not take the way through the router."""
        app = self._routes()

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"]
            execution_id = path[len(ONE) :] if path.startswith(ONE) and scope["method"] == "GET" else "/"
            if "/" in execution_id:
                await app(scope, receive, send)
                return
            try:
                answer = self._one(execution_id)
            except apsw.Error:
                await app(scope, receive, send)  # which asks again, and knows the shape of every error
            else:
                await answer(scope, receive, send)

        return front

    def _routes(self) -> Starlette:
        base = "/api/v1"
        routes = [
            Route(f"{base}/executions/{{id}}", self.execution),
            Route(f"{base}/benchmarks/{{benchmark}}/status/{{id}}", self.status),
            Route(f"{base}/health", self.health),
            Route(f"{base}/benchmarks", self.benchmarks),
            Route(f"{base}/benchmarks/{{benchmark}}", self.benchmark),
            Route(f"{base}/benchmarks/{{benchmark}}/status", self.newest),
            Route(f"{base}/executions", self.executions),
            Route(f"{base}/executions/{{id}}/history", self.history),
            Route(f"{base}/executions/{{id}}/tool-calls", self.tool_calls),
            Route(f"{base}/agents", self.agents),
            Route(f"{base}/problems", self.problems),
            Route(f"{base}/sync", self.sync, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers=FAILURES)

    @property
    def query(self) -> Query:
        """The open database; opened when first asked, since the engine may be making it just now."""
        if self._query is None:
            self._query = Query(self._database)
        return self._query

    def reopen(self) -> None:
        """The database is another file than before."""
        if self._query is not None:
            self._query.close()
            self._query = None

    # -- executions ------------------------------------------------------------------------------------------

    async def execution(self, request: Request) -> Response:
        return self._one(request.path_params["id"])

    def _one(self, execution_id: str) -> JSON:
        found = self.query.execution(execution_id)
        return JSON(found) if found else unknown("execution", execution_id)

    async def status(self, request: Request) -> Response:
        found = self.query.execution(request.path_params["id"])
        if found and found["benchmark_id"] == request.path_params["benchmark"]:
            return JSON(found)
        return unknown(f"execution of {request.path_params['benchmark']}", request.path_params["id"])

    async def newest(self, request: Request) -> Response:
        name = request.path_params["benchmark"]
        found = self.query.newest(name)
        return JSON(found) if found else unknown("execution of the benchmark", name)

    async def executions(self, request: Request) -> Response:
        limit, cursor = paging(request)
        return JSON(self.query.executions(filter_(request), limit, cursor)._asdict())

    async def history(self, request: Request) -> Response:
        found = self.query.history(request.path_params["id"])
        return JSON(found) if found is not None else unknown("execution", request.path_params["id"])

    async def tool_calls(self, request: Request) -> Response:
        limit, cursor = paging(request)
        if self.query.history(request.path_params["id"]) is None:
            return unknown("execution", request.path_params["id"])
        return array(request, self.query.tool_calls(request.path_params["id"], limit, cursor))

    # -- the rest --------------------------------------------------------------------------------------------

    async def health(self, _: Request) -> Response:
        """200 also when degraded: whoever asks is answered, and `reasons` say what is wrong."""
        reasons: list[str] = []
        watch: dict[str, Any] = {"mode": "unknown", "last_rescan_at": None, "last_rescan_seconds": None, "pending": 0}
        try:
            engine = await self._link().call("health", timeout=HEALTH_SECONDS)
            watch = {key: engine[key] for key in watch}
            reasons = engine["reasons"]
        except LinkError as error:
            reasons.append(str(error))
        try:
            counts, problems = self.query.counts(), self.query.problem_count()
        except apsw.Error as error:
            counts, problems = {}, 0
            reasons.append(f"the database cannot be read: {error}")
        now = Clock().now()
        return JSON(
            {
                "status": "degraded" if reasons else "healthy",
                "timestamp": rfc3339(now),
                "version": __version__,
                "uptime_seconds": (now - self._started_at) / SECOND,
                "watch": watch,
                "database": {
                    "path": self._database,
                    "size_bytes": _size(self._database),
                    "wal_bytes": _size(self._database + "-wal"),
                },
                "executions": {status.value: counts.get(status, 0) for status in Status},
                "problems": problems,
                "reasons": reasons,
            }
        )

    async def benchmarks(self, _: Request) -> Response:
        return JSON(self.query.benchmarks())

    async def benchmark(self, request: Request) -> Response:
        found = self.query.benchmark(request.path_params["benchmark"])
        return JSON(found) if found else unknown("benchmark", request.path_params["benchmark"])

    async def agents(self, _: Request) -> Response:
        return JSON(self.query.agents())

    async def problems(self, request: Request) -> Response:
        return JSON(self.query.problems(*paging(request))._asdict())

    async def sync(self, request: Request) -> Response:
        refusal = self._refusal(request, "sync")
        return refusal or JSON(await self._link().call("sync", timeout=SYNC_SECONDS))

    def _link(self) -> ServerEnd:
        if self.link is None:
            raise LinkError("the engine is not there yet")
        return self.link

    def _refusal(self, request: Request, action: str) -> JSON | None:
        """None where the peer may change things: root, the daemon's own user, members of the admin group."""
        uid = request.scope["extensions"]["reevd.peer"]["uid"]
        if uid in (0, os.geteuid()) or (self._admin_gid is not None and self._admin_gid in _groups(uid)):
            return None
        return problem(
            403, "forbidden", f"user {uid} may not {action}: ask a member of the daemon's admin group, or its own user"
        )


def _groups(uid: int) -> list[int]:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(user.pw_name, user.pw_gid)


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
