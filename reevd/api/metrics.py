"""GET /metrics: the server's own figures and the engine's, as one OpenMetrics text."""

from __future__ import annotations

import os
from collections.abc import Iterable

import apsw
from opentelemetry.metrics import CallbackOptions, Observation
from starlette.requests import Request
from starlette.responses import Response

from reevd.api.service import Service
from reevd.exposition import CONTENT_TYPE, END, Exposition
from reevd.link import LinkError
from reevd.model import Status

ENGINE_SECONDS = 2.0


class Metrics:
    """An engine that does not answer shows as reevd_engine_up 0: a scrape is answered all the same."""

    def __init__(self, service: Service) -> None:
        self._service, self._up = service, True
        self._exposition = Exposition("server", os.environ)
        meter = self._exposition.meter
        meter.create_observable_counter("reevd.requests", [self._requests], description="Requests answered.")
        meter.create_observable_counter("reevd.requests.time", [self._seconds], "s", "That answering them took.")
        meter.create_observable_gauge("reevd.executions", [self._executions], description="By status.")
        meter.create_observable_gauge("reevd.engine.up", [self._engine], description="Whether the engine answers.")

    async def answer(self, _: Request) -> Response:
        try:
            engine = (await self._service.link.call("metrics", timeout=ENGINE_SECONDS)).encode()
            self._up = True
        except LinkError:
            engine, self._up = b"", False
        return Response(self._exposition.text() + engine + END, media_type=CONTENT_TYPE)

    def _requests(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(int(count), route._asdict()) for route, (count, _s) in self._service.traffic.answered.items()
        ]

    def _seconds(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(seconds, route._asdict()) for route, (_n, seconds) in self._service.traffic.answered.items()
        ]

    def _executions(self, _: CallbackOptions) -> Iterable[Observation]:
        try:
            counts = self._service.query.counts()
        except apsw.Error:
            return []  # the health says why
        return [Observation(counts.get(status, 0), {"status": status.value}) for status in Status]

    def _engine(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(int(self._up))]
