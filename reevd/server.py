"""The API: HTTP questions to database answers. Everything but a sync is answered from the database alone."""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from typing import Any

import apsw
import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd import __version__
from reevd.clock import Clock
from reevd.link import LinkError, ServerEnd
from reevd.model import Status
from reevd.query import CursorError, Filter, Page, Query
from reevd.times import SECOND, rfc3339, to_micros

LIMIT, MOST = 100, 1000
SYNC_SECONDS = 600.0
HEALTH_SECONDS = 2.0

Endpoint = Callable[[Request], Awaitable[Response]]


class JSON(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def problem(status: int, error: str, message: str) -> JSON:
    """The one shape of every error."""
    return JSON({"error": error, "message": message, "timestamp": rfc3339(Clock().now())}, status)


class BadRequestError(Exception):
    """A question that cannot be answered as it is put: what is wrong, and what to try."""


class API:
    """`link` is set once the server runs; until then, and when the engine is silent, health says so."""

    def __init__(self, database: str, socket: str, admin_gid: int | None, started_at: int) -> None:
        self._database, self._socket, self._admin_gid, self._started_at = database, socket, admin_gid, started_at
        self._query: Query | None = None
        self.link: ServerEnd | None = None

    def app(self) -> Starlette:
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
        failures: dict[Any, Any] = {
            HTTPException: _refused,
            BadRequestError: _bad_request,
            CursorError: _bad_cursor,
            LinkError: _engine_silent,
            apsw.Error: _database_failed,
            Exception: _defect,
        }
        return Starlette(routes=routes, exception_handlers=failures)

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
        found = self.query.execution(request.path_params["id"])
        return JSON(found) if found else _unknown("execution", request.path_params["id"])

    async def status(self, request: Request) -> Response:
        found = self.query.execution(request.path_params["id"])
        if found and found["benchmark_id"] == request.path_params["benchmark"]:
            return JSON(found)
        return _unknown(f"execution of {request.path_params['benchmark']}", request.path_params["id"])

    async def newest(self, request: Request) -> Response:
        name = request.path_params["benchmark"]
        found = self.query.newest(name)
        return JSON(found) if found else _unknown("execution of the benchmark", name)

    async def executions(self, request: Request) -> Response:
        limit, cursor = _paging(request)
        return JSON(self.query.executions(_filter(request), limit, cursor)._asdict())

    async def history(self, request: Request) -> Response:
        found = self.query.history(request.path_params["id"])
        return JSON(found) if found is not None else _unknown("execution", request.path_params["id"])

    async def tool_calls(self, request: Request) -> Response:
        limit, cursor = _paging(request)
        if self.query.history(request.path_params["id"]) is None:
            return _unknown("execution", request.path_params["id"])
        return _array(request, self.query.tool_calls(request.path_params["id"], limit, cursor))

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
        return JSON(found) if found else _unknown("benchmark", request.path_params["benchmark"])

    async def agents(self, _: Request) -> Response:
        return JSON(self.query.agents())

    async def problems(self, request: Request) -> Response:
        return JSON(self.query.problems(*_paging(request))._asdict())

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


def _unknown(what: str, name: str) -> JSON:
    message = f"looking up the {what} {name!r}: reevd knows none: list them with GET /api/v1/executions or /benchmarks"
    return problem(404, "not found", message)


def _array(request: Request, page: Page) -> JSON:
    """A bare array, with the way to the next one in a Link header."""
    headers = {}
    if page.next_cursor:
        headers["Link"] = f'<{request.url.include_query_params(cursor=page.next_cursor)}>; rel="next"'
    return JSON(page.items, headers=headers)


def _paging(request: Request) -> tuple[int, str | None]:
    text = request.query_params.get("limit", str(LIMIT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST:
        raise BadRequestError(f"limit is {text!r}: give a number from 1 to {MOST}")
    return int(text), request.query_params.get("cursor")


def _filter(request: Request) -> Filter:
    given = request.query_params
    statuses = [s for value in given.getlist("status") for s in value.split(",") if s]
    for status in statuses:
        if status not in tuple(Status):
            raise BadRequestError(f"status is {status!r}: give some of {', '.join(Status)}")
    return Filter(
        status=statuses,
        agent=given.get("agent"),
        benchmark_id=given.get("benchmark_id"),
        since=_time(given.get("since"), "since"),
        until=_time(given.get("until"), "until"),
        min_score=_score(given.get("min_score"), "min_score"),
        max_score=_score(given.get("max_score"), "max_score"),
        text=given.get("text"),
    )


def _time(text: str | None, name: str) -> str | None:
    if text is None:
        return None
    micros = to_micros(text)
    if micros is None:
        raise BadRequestError(f"{name} is {text!r}: give a time such as 2026-01-31T12:00:00Z")
    return rfc3339(micros)


def _score(text: str | None, name: str) -> float | None:
    try:
        score = None if text is None else float(text)
    except ValueError:
        score = float("nan")
    if score is not None and not 0 <= score <= 1:
        raise BadRequestError(f"{name} is {text!r}: give a number from 0 to 1")
    return score


async def _refused(request: Request, error: HTTPException) -> Response:
    names = {404: "not found", 405: "method not allowed"}
    message = f"{request.method} {request.url.path}: {error.detail}: the paths are listed in the README"
    answer = problem(error.status_code, names.get(error.status_code, "refused"), message)
    answer.headers.update(error.headers or {})
    return answer


async def _bad_request(request: Request, error: Exception) -> Response:
    return problem(400, "bad request", f"reading the query of {request.url.path}: {error}")


async def _bad_cursor(request: Request, error: Exception) -> Response:
    message = f"reading the cursor of {request.url.path}: {error} is none: take next_cursor as it was answered"
    return problem(400, "bad request", message)


async def _engine_silent(_: Request, error: Exception) -> Response:
    return problem(503, "not ready", f"asking the engine: {error}: try again in a moment")


async def _database_failed(_: Request, error: Exception) -> Response:
    return problem(503, "not ready", f"reading the database: {error}: try again in a moment, and see the health")


async def _defect(request: Request, error: Exception) -> Response:
    message = f"answering {request.method} {request.url.path} failed inside reevd, which is a defect"
    return problem(500, "internal error", f"{message}: {type(error).__name__}")
