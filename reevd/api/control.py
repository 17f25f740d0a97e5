"""Endpoints that change something: who may is decided here, what it means by the engine."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd.api.answers import JSON, unknown
from reevd.api.questions import BadRequestError, peer
from reevd.api.service import Service

SYNC_SECONDS = 600.0
SMALL = 64 << 10  # bytes of a body that asks for a run or a removal
SECONDS = 30.0


class Control:
    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/benchmarks/{benchmark}/run", self.run, methods=["POST"]),
            Route("/benchmarks/{benchmark}/stop/{id}", self.stop, methods=["POST"]),
            Route("/sync", self.sync, methods=["POST"]),
            Route("/prune", self.prune, methods=["POST"]),
            Route("/upsert-yml", self.upsert, methods=["POST"]),
        ]

    async def run(self, request: Request) -> Response:
        """202 once the execution is queued for good: a runner starts as soon as a slot is free."""
        if refusal := self._service.refusal(request, "run benchmarks"):
            return refusal
        asked = {
            "benchmark_id": request.path_params["benchmark"],
            "body": await _body(request, SMALL),
            "uid": peer(request)["uid"],
        }
        return JSON(await self._service.link.call("run", asked, timeout=SECONDS), 202)

    async def stop(self, request: Request) -> Response:
        """The execution, Stopped; 409 where it had ended."""
        if refusal := self._service.refusal(request, "stop executions"):
            return refusal
        benchmark, execution_id = request.path_params["benchmark"], request.path_params["id"]
        asked = {"benchmark_id": benchmark, "execution_id": execution_id, "uid": peer(request)["uid"]}
        await self._service.link.call("stop", asked, timeout=SECONDS)
        found = self._service.query.execution(execution_id)
        return JSON(found) if found else unknown("execution", execution_id)

    async def sync(self, request: Request) -> Response:
        if refusal := self._service.refusal(request, "sync"):
            return refusal
        return JSON(await self._service.link.call("sync", timeout=SYNC_SECONDS))

    async def prune(self, request: Request) -> Response:
        """Removes what ended long ago, with its files; a dry run says what would go."""
        if refusal := self._service.refusal(request, "remove executions"):
            return refusal
        asked = _age(await _body(request, SMALL))
        return JSON(await self._service.link.call("prune", asked, timeout=SYNC_SECONDS))

    async def upsert(self, request: Request) -> Response:
        """Stores a benchmark case, where it is a valid one."""
        if refusal := self._service.refusal(request, "store benchmarks"):
            return refusal
        return JSON(await self._service.link.call("upsert", {"body": await _body(request)}, timeout=SECONDS))


def _age(body: object) -> dict[str, Any]:
    """{days?, dry_run?}. Raises BadRequestError."""
    if not isinstance(body, dict) or body.keys() - {"days", "dry_run"}:
        raise BadRequestError('removing executions: the body is no {"days"?: number, "dry_run"?: true or false}')
    days, dry = body.get("days"), body.get("dry_run", False)
    if not isinstance(dry, bool):
        raise BadRequestError(f"removing executions: dry_run is {dry!r}: give true or false")
    if days is not None and (isinstance(days, bool) or not isinstance(days, int | float) or not 1 <= days <= 36_500):
        raise BadRequestError(f"removing executions: days is {str(days)[:40]}: give a number from 1 to 36500")
    return {"days": days, "dry_run": dry}


async def _body(request: Request, most: int | None = None) -> Any:
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, f"the body is {kind or 'of no kind'}: send it with Content-Type: application/json")
    text = await request.body()
    if most is not None and len(text) > most:
        raise HTTPException(413, f"the body has {len(text):,} bytes: at most {most:,} are taken")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is no JSON: {error}") from None
