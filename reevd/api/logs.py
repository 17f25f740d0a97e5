"""Endpoints about what runs did: their traces, and the logs of their transactions."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd.api.answers import JSON, unknown
from reevd.api.questions import BadRequestError, paging
from reevd.api.rows import Filter
from reevd.api.service import Service
from reevd.api.values import MOST_BYTES, first_calls, values
from reevd.views import trace, transactions

FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Logs:
    """The text is made in a thread: a run may have left 16 MiB, and the others must not wait for that."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/execution-logs/{benchmark}", self.execution_log),
            Route("/flow-logs/{benchmark}", self.flow_logs),
            Route("/transaction-logs/{benchmark}", self.transaction_logs),
        ]

    async def execution_log(self, request: Request) -> Response:
        """The trace of one execution of a benchmark: the one that is asked for, else the newest."""
        shown = self._chosen(request)
        if shown is None:
            return _none(request)
        return JSON(await asyncio.to_thread(_traced, shown, first_calls(self._service.query, shown)))

    async def flow_logs(self, request: Request) -> Response:
        """The traces of a benchmark's executions, newest first: as many as `limit`, or fewer where they are long."""
        limit, cursor = paging(request)
        wanted = Filter(benchmark_id=request.path_params["benchmark"])
        sessions: list[dict[str, Any]] = []
        size, more = 0, True
        while more and len(sessions) < limit and size < MOST_BYTES:
            page = self._service.query.executions(wanted, 1, cursor)
            for shown in page.items:
                sessions.append(await asyncio.to_thread(_session, shown, first_calls(self._service.query, shown)))
                size += len(sessions[-1]["log_content"])
            cursor, more = page.next_cursor, page.next_cursor is not None
        if not sessions and "cursor" not in request.query_params:
            return _none(request)
        return JSON({"benchmark_id": wanted.benchmark_id, "sessions": sessions, "next_cursor": cursor})

    async def transaction_logs(self, request: Request) -> Response:
        """The logs of the transactions of one execution: the one that is asked for, else the newest."""
        form = request.query_params.get("format", "yaml")
        if form not in transactions.FORMATS:
            raise BadRequestError(f"format is {form!r}: give {' or '.join(transactions.FORMATS)}")
        units = _flag(request, "show_cu")
        shown = self._chosen(request)
        return _none(request) if shown is None else JSON(await asyncio.to_thread(_logged, shown, form, units=units))

    def _chosen(self, request: Request) -> dict[str, Any] | None:
        benchmark, execution_id = request.path_params["benchmark"], request.query_params.get("execution_id")
        if execution_id is None:
            return self._service.query.newest(benchmark)
        found = self._service.query.execution(execution_id)
        return found if found and found["benchmark_id"] == benchmark else None


def _traced(shown: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    run, called = values(shown), list(map(values, calls))
    return {
        "benchmark_id": run["benchmark_id"],
        "execution_id": run["execution_id"],
        "agent_type": run["agent"],
        "interface": _interface(run),
        "status": run["status"],
        "final_status": trace.final_status(run),
        "trace": trace.trace(run, called),
        "is_running": trace.is_running(run),
        "progress": run["progress"],
        "message": trace.message(run, called),
    }


def _session(shown: dict[str, Any], calls: list[dict[str, Any]]) -> dict[str, Any]:
    found = _traced(shown, calls)
    names = ("agent_type", "interface", "status", "final_status", "is_running", "message")
    return {
        "session_id": found["execution_id"],
        "score": shown["score"],
        "log_content": found["trace"],
        **{name: found[name] for name in names},
    }


def _logged(shown: dict[str, Any], form: str, *, units: bool) -> dict[str, Any]:
    run = values(shown)
    return {
        "benchmark_id": run["benchmark_id"],
        "execution_id": run["execution_id"],
        "transaction_logs": transactions.transactions(run, form, units=units),
        "format": form,
        "message": transactions.message(run),
    }


def _interface(run: dict[str, Any]) -> str:
    """What the run was started through, as its writer says: an interface, else the name of the runner."""
    metadata = run["metadata"] if isinstance(run["metadata"], dict) else {}
    told = (metadata.get(name) for name in ("interface", "runner"))
    return next((name for name in told if isinstance(name, str) and name), "unknown")


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text.lower() not in FLAGS:
        raise BadRequestError(f"{name} is {text!r}: give true or false")
    return FLAGS[text.lower()]


def _none(request: Request) -> Response:
    benchmark, execution_id = request.path_params["benchmark"], request.query_params.get("execution_id")
    if execution_id is None:
        return unknown("execution of the benchmark", benchmark)
    return unknown(f"execution of {benchmark}", execution_id)
