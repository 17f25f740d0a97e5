"""The endpoint of a run's flow: as JSON, as Mermaid's text, as a page that draws itself."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from reevd.api.answers import JSON, unknown
from reevd.api.questions import BadRequestError
from reevd.api.service import Service
from reevd.api.values import first_calls, values
from reevd.views.flow import facts, flow
from reevd.views.mermaid import diagram
from reevd.views.page import page

FORMATS = ("json", "mermaid", "html")


class Flows:
    """What is drawn is made in a thread: a run may have left 16 MiB, and the others must not wait for that."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [Route("/flows/{id}", self.flow)]

    async def flow(self, request: Request) -> Response:
        """The flow of one execution, from its prompt to its end."""
        form = request.query_params.get("format", "json")
        if form not in FORMATS:
            raise BadRequestError(f"format is {form!r}: give one of {', '.join(FORMATS)}")
        execution_id = request.path_params["id"]
        shown = self._service.query.execution(execution_id)
        if shown is None:
            return unknown("execution", execution_id)
        calls = first_calls(self._service.query, shown)
        return await asyncio.to_thread(_drawn, shown, calls, form)


def _drawn(shown: dict[str, Any], calls: list[dict[str, Any]], form: str) -> Response:
    run, called = values(shown), list(map(values, calls))
    found = flow(run, called)
    text = diagram(found)
    if form == "mermaid":
        return PlainTextResponse(text + "\n")
    told = facts(run, found, run["tool_calls"])
    if form == "html":
        return HTMLResponse(page(run["execution_id"], text, told, called))
    return JSON({"session_id": run["execution_id"], "diagram": text, "metadata": told, "sessions": []})
