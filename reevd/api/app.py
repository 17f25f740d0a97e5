"""The application: every endpoint under one path, and the shape of every error."""

from __future__ import annotations

import apsw
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from reevd.api.analytics import Analytics
from reevd.api.answers import FAILURES
from reevd.api.benchmarks import Benchmarks
from reevd.api.control import Control
from reevd.api.document import Document, strict
from reevd.api.events import Events
from reevd.api.executions import Executions, one
from reevd.api.flows import Flows
from reevd.api.host import Host
from reevd.api.logs import Logs
from reevd.api.service import Service

BASE = "/api/v1"
ONE = f"{BASE}/executions/"
GROUPS = (Executions, Benchmarks, Events, Logs, Flows, Analytics, Control, Host, Document)


class App:
    """ASGI. The question asked most, for one execution, does not take the way through the router."""

    def __init__(self, service: Service) -> None:
        self._service = service
        routes = [strict(route) for group in GROUPS for route in group(service).routes()]
        self._app = Starlette(routes=[Mount(BASE, routes=routes)], exception_handlers=FAILURES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        execution_id = (
            path[len(ONE) :] if path.startswith(ONE) and scope["method"] == "GET" and not scope["query_string"] else "/"
        )
        if "/" in execution_id:
            await self._app(scope, receive, send)
            return
        try:
            answer = one(self._service, execution_id)
        except apsw.Error:
            await self._app(scope, receive, send)  # which asks again, and knows the shape of every error
        else:
            await answer(scope, receive, send)
