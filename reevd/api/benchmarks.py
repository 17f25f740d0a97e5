"""Endpoints about benchmarks, and about their executions as the first system's tools ask for them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd.api.answers import JSON, array, unknown
from reevd.api.questions import paging
from reevd.api.service import Service


class Benchmarks:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/benchmarks", self.benchmarks),
            Route("/benchmarks/{benchmark}", self.benchmark),
            Route("/benchmarks/{benchmark}/status", self.newest),
            Route("/benchmarks/{benchmark}/status/{id}", self.status),
        ]

    async def benchmarks(self, request: Request) -> Response:
        return array(request, self._service.query.benchmarks(*paging(request)))

    async def benchmark(self, request: Request) -> Response:
        found = self._service.query.benchmark(request.path_params["benchmark"])
        return JSON(found) if found else unknown("benchmark", request.path_params["benchmark"])

    async def newest(self, request: Request) -> Response:
        name = request.path_params["benchmark"]
        found = self._service.query.newest(name)
        return JSON(found) if found else unknown("execution of the benchmark", name)

    async def status(self, request: Request) -> Response:
        found = self._service.query.execution(request.path_params["id"])
        if found and found["benchmark_id"] == request.path_params["benchmark"]:
            return JSON(found)
        return unknown(f"execution of {request.path_params['benchmark']}", request.path_params["id"])
