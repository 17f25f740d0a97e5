"""What a request asks for, and who asks: its query, read with care. Pure but for the request it reads."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from reevd.api.rows import Filter
from reevd.model import Status
from reevd.times import rfc3339, to_micros

LIMIT, MOST = 100, 1000
DIGITS = 9


class BadRequestError(Exception):
    """A question that cannot be answered as it is put: what is wrong, and what to try."""


def peer(request: Request) -> dict[str, Any]:
    """Who asks: {pid, uid, groups}, as the kernel says."""
    found: dict[str, Any] = request.scope["extensions"]["reevd.peer"]
    return found


def paging(request: Request) -> tuple[int, str | None]:
    return number(request, "limit", LIMIT, 1, MOST), request.query_params.get("cursor")


def number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS or not least <= int(text) <= most:
        raise BadRequestError(f"{name} is {text[:80]!r}: give a number from {least} to {most}")
    return int(text)


def period(request: Request) -> tuple[str | None, str | None]:
    """`since` and `until`."""
    given = request.query_params
    return _time(given.get("since"), "since"), _time(given.get("until"), "until")


def filter_(request: Request) -> Filter:
    given = request.query_params
    statuses = [s for value in given.getlist("status") for s in value.split(",") if s]
    for status in statuses:
        if status not in tuple(Status):
            raise BadRequestError(f"status is {status!r}: give some of {', '.join(Status)}")
    since, until = period(request)
    return Filter(
        status=statuses,
        agent=given.get("agent"),
        benchmark_id=given.get("benchmark_id"),
        since=since,
        until=until,
        min_score=_score(given.get("min_score"), "min_score"),
        max_score=_score(given.get("max_score"), "max_score"),
        text=given.get("text"),
    )


def _time(text: str | None, name: str) -> str | None:
    if text is None:
        return None
    micros = to_micros(text)
    if micros is None:
        raise BadRequestError(f"{name} is {text!r}: give a time such as 2026-01-31T12:00:00Z")
    return rfc3339(micros)


def _score(text: str | None, name: str) -> float | None:
    try:
        score = None if text is None else float(text)
    except ValueError:
        score = float("nan")
    if score is not None and not 0 <= score <= 1:
        raise BadRequestError(f"{name} is {text!r}: give a number from 0 to 1")
    return score
