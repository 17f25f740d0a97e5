"""Endpoints about the daemon itself: how it is, and what it cannot read."""

from __future__ import annotations

import os
from typing import Any

import apsw
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd import __version__
from reevd.api.answers import JSON
from reevd.api.questions import paging
from reevd.api.service import Service
from reevd.clock import Clock
from reevd.database import DAMAGED
from reevd.link import LinkError
from reevd.model import Status
from reevd.times import SECOND, rfc3339

HEALTH_SECONDS = 2.0


class Host:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/health", self.health),
            Route("/problems", self.problems),
        ]

    async def health(self, _: Request) -> Response:
        """200 also when degraded: whoever asks is answered, and `reasons` say what is wrong."""
        reasons: list[str] = []
        watch: dict[str, Any] = {"mode": "unknown", "last_rescan_at": None, "last_rescan_seconds": None, "pending": 0}
        try:
            engine = await self._service.link.call("health", timeout=HEALTH_SECONDS)
            watch = {key: engine[key] for key in watch}
            reasons = engine["reasons"]
        except LinkError as error:
            reasons.append(str(error))
        try:
            counts, problems = self._service.query.counts(), self._service.query.problem_count()
        except apsw.Error as error:
            counts, problems = {}, 0
            reasons.append(f"the database cannot be read: {error}")
            if isinstance(error, DAMAGED):
                await self._service.suspect()
        now = Clock().now()
        return JSON(
            {
                "status": "degraded" if reasons else "healthy",
                "timestamp": rfc3339(now),
                "version": __version__,
                "uptime_seconds": (now - self._service.started_at) / SECOND,
                "watch": {"path": self._service.sessions, "writers": self._service.writers, **watch},
                "database": {
                    "path": self._service.database,
                    "size_bytes": _size(self._service.database),
                    "wal_bytes": _size(self._service.database + "-wal"),
                },
                "executions": {status.value: counts.get(status, 0) for status in Status},
                "problems": problems,
                "reasons": reasons,
            }
        )

    async def problems(self, request: Request) -> Response:
        return JSON(self._service.query.problems(*paging(request))._asdict())


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
