"""The shapes of answers: JSON, arrays with the way to the next page, and the one shape of every error."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import apsw
import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from reevd.api.questions import BadRequestError
from reevd.api.rows import CursorError, Page
from reevd.clock import Clock
from reevd.link import LinkError
from reevd.times import rfc3339


class JSON(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def body_of(error: str, message: str) -> bytes:
    """The one shape of every error, as it is sent."""
    return orjson.dumps({"error": error, "message": message, "timestamp": rfc3339(Clock().now())})


def problem(status: int, error: str, message: str) -> Response:
    return Response(body_of(error, message), status, media_type="application/json")


def unknown(what: str, name: str) -> Response:
    lists = {"execution": "executions", "benchmark": "benchmarks"}.get(what, "executions or /benchmarks")
    return problem(
        404, "not found", f"looking up the {what} {name!r}: reevd knows none: list them with GET /api/v1/{lists}"
    )


def array(request: Request, page: Page) -> JSON:
    """A bare array, with the way to the next one in a Link header."""
    headers = {}
    if page.next_cursor:
        headers["Link"] = f'<{request.url.include_query_params(cursor=page.next_cursor)}>; rel="next"'
    return JSON(page.items, headers=headers)


async def _refused(request: Request, error: HTTPException) -> Response:
    hint = ": GET /api/v1/openapi.json lists what there is" if error.status_code in (404, 405) else ""
    message = f"{request.method} {request.url.path}: {error.detail}{hint}"
    answer = problem(error.status_code, HTTPStatus(error.status_code).phrase.lower(), message)
    answer.headers.update(error.headers or {})
    return answer


async def _bad_request(request: Request, error: Exception) -> Response:
    return problem(400, "bad request", f"reading the request {request.method} {request.url.path}: {error}")


async def _bad_cursor(request: Request, error: Exception) -> Response:
    message = f"reading the cursor of {request.url.path}: {error} is none: take next_cursor as it was answered"
    return problem(400, "bad request", message)


async def _engine_refuses(_: Request, error: Exception) -> Response:
    assert isinstance(error, LinkError)
    kind = "not ready" if error.status == 503 else HTTPStatus(error.status).phrase.lower()
    return problem(error.status, kind, str(error))


async def _database_failed(_: Request, error: Exception) -> Response:
    return problem(503, "not ready", f"reading the database: {error}: try again in a moment, and see the health")


async def _defect(request: Request, error: Exception) -> Response:
    message = f"answering {request.method} {request.url.path} failed inside reevd, which is a defect"
    return problem(500, "internal error", f"{message}: {type(error).__name__}")


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


FAILURES: dict[Any, Any] = {
    HTTPException: _refused,
    BadRequestError: _bad_request,
    CursorError: _bad_cursor,
    ClientDisconnect: _gone,
    LinkError: _engine_refuses,
    apsw.Error: _database_failed,
    Exception: _defect,
}
