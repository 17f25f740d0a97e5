"""The application: every endpoint under one path, and the shape of every error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import apsw
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from reevd.api.analytics import Analytics
from reevd.api.answers import FAILURES
from reevd.api.backup import Backup
from reevd.api.benchmarks import Benchmarks
from reevd.api.control import Control
from reevd.api.document import TEMPLATE, Document, strict
from reevd.api.events import Events
from reevd.api.executions import Executions, one
from reevd.api.flows import Flows
from reevd.api.host import Host
from reevd.api.logs import Logs
from reevd.api.service import Service
from reevd.api.traffic import Route as Answered
from reevd.database import DAMAGED

if TYPE_CHECKING:
    from reevd.api.metrics import Metrics

BASE = "/api/v1"
ONE = f"{BASE}/executions/"
METRICS, OTHER = "/metrics", "other"
FOUND, MISSED = (Answered("GET", ONE + "{id}", status) for status in (200, 404))
GROUPS = (Executions, Benchmarks, Events, Logs, Flows, Analytics, Control, Host, Backup, Document)

log = structlog.get_logger("reevd.api")


class App:
    """ASGI. The question asked most, for one execution, does not take the way through the router."""

    def __init__(self, service: Service) -> None:
        self._service, self._traffic = service, service.traffic
        self._metrics: Metrics | None = None
        routes = [strict(route) for group in GROUPS for route in group(service).routes()]
        metrics = Route(METRICS, self._measured)
        within = Mount(BASE, Router(routes, redirect_slashes=False))
        damaged = dict.fromkeys(DAMAGED, self._damaged)
        self._app = Starlette(routes=[within, metrics], exception_handlers={**FAILURES, **damaged})
        self._app.router.redirect_slashes = False

    async def _damaged(self, request: Request, error: Exception) -> Response:
        await self._service.suspect()
        response: Response = await FAILURES[apsw.Error](request, error)
        return response

    async def _measured(self, request: Request) -> Response:
        request.scope[TEMPLATE] = METRICS
        if self._metrics is None:
            from reevd.api.metrics import Metrics  # takes long to load, and many a daemon is never asked

            self._metrics = Metrics(self._service)
        return await self._metrics.answer(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        path = scope["path"]
        execution_id = (
            path[len(ONE) :] if path.startswith(ONE) and scope["method"] == "GET" and not scope["query_string"] else "/"
        )
        if "/" in execution_id:
            await self._route(scope, receive, send, began)
            return
        try:
            answer = one(self._service, execution_id)
        except (apsw.Error, TypeError, ValueError):
            await self._route(scope, receive, send, began)  # which asks again, and knows the shape of every error
        else:
            await answer(scope, receive, send)
            self._traffic.note(FOUND if answer.status_code == 200 else MISSED, time.perf_counter() - began)

    async def _route(self, scope: Scope, receive: Receive, send: Send, began: float) -> None:
        status, answered = 0, False

        async def noted(message: Message) -> None:
            nonlocal status, answered
            status = message.get("status", status)
            answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:
            log.exception("a request failed", method=scope["method"], path=scope["path"])
            if not answered:
                raise  # the connection is closed: what was sent is not whole
        finally:
            template = scope.get(TEMPLATE, OTHER)
            base = "" if template in (OTHER, METRICS) else BASE
            self._traffic.note(Answered(scope["method"], base + template, status), time.perf_counter() - began)
