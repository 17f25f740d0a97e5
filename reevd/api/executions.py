"""Endpoints about executions: one, many, and what belongs to one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd.api.answers import JSON, array, unknown
from reevd.api.questions import filter_, paging, peer
from reevd.api.service import Service


def one(service: Service, execution_id: str) -> Response:
    """The answer to the question asked most."""
    found = service.query.execution(execution_id)
    return JSON(found) if found else unknown("execution", execution_id)


class Executions:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/executions/{id}", self.execution),
            Route("/executions", self.executions),
            Route("/executions/{id}/history", self.history),
            Route("/executions/{id}/tool-calls", self.tool_calls),
            Route("/agents", self.agents),
        ]

    async def execution(self, request: Request) -> Response:
        return one(self._service, request.path_params["id"])

    async def executions(self, request: Request) -> Response:
        limit, cursor = paging(request)
        wanted = filter_(request)
        page = await self._service.search(
            peer(request)["uid"], wanted, lambda query: query.executions(wanted, limit, cursor)
        )
        return JSON(page._asdict())

    async def history(self, request: Request) -> Response:
        found = self._service.query.history(request.path_params["id"], *paging(request))
        return unknown("execution", request.path_params["id"]) if found is None else array(request, found)

    async def tool_calls(self, request: Request) -> Response:
        limit, cursor = paging(request)
        if not self._service.query.knows(request.path_params["id"]):
            return unknown("execution", request.path_params["id"])
        return array(request, self._service.query.tool_calls(request.path_params["id"], limit, cursor))

    async def agents(self, request: Request) -> Response:
        return array(request, self._service.query.agents(*paging(request)))
