"""Server-sent events: every change of an execution or a problem, as it is stored, and what came since a given one.

An event's id is the database's birth and the number of the change. Who names one with `Last-Event-ID` gets
everything since, in order; who names one of another database gets everything. Nothing is kept for anybody: the
rows themselves carry the numbers, so that a restart of the daemon leaves no gap either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from reevd.api.answers import problem
from reevd.api.changes import FIRST, Changes, Trouble
from reevd.api.gate import Gate
from reevd.api.questions import BadRequestError, filter_, peer
from reevd.api.rows import Filter
from reevd.api.service import Service
from reevd.clock import Clock
from reevd.times import rfc3339

HEARTBEAT_SECONDS = 15.0
BATCH = 100
MOST_LISTENERS, MOST_OF_ONE = 64, 32

Problems = Mapping[str, dict[str, Any]]
T = TypeVar("T")


class Events:
    def __init__(self, service: Service) -> None:
        self._service, self._hub = service, service.hub
        self._gate = Gate(MOST_OF_ONE, MOST_LISTENERS, "listeners")

    def routes(self) -> list[Route]:
        return [Route("/events", self.events)]

    async def events(self, request: Request) -> Response:
        """`execution`, `problem` and `heartbeat` events; executions are filtered as their list is."""
        wanted, after = filter_(request), _last_seen(request)
        uid: int = peer(request)["uid"]
        if why := self._gate.enter(uid):
            return problem(503, "not ready", f"listening to the events: {why}: close some, or try again later")
        stream = self._stream(uid, wanted, after)
        start = await anext(stream)  # where the database cannot be read, the answer is an error yet

        async def whole() -> AsyncIterator[bytes]:
            async with aclosing(stream):
                yield start
                async for event in stream:
                    yield event

        return StreamingResponse(whole(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _stream(self, uid: int, wanted: Filter, after: tuple[str, int] | None) -> AsyncGenerator[bytes, None]:
        try:
            with self._hub.listen(self._service.query.birth) as changes:
                number, known = changes.last, await _asked(changes, Changes.trouble, long=True)
                if after is not None:
                    # What a client has missed of the problems nobody knows: it is told of all there are.
                    number, known = after[1] if after[0] == changes.birth else 0, Trouble()
                yield b"retry: 1000\n\n" + _heartbeat(changes, number)
                while not self._hub.ended(changes):
                    news, last = self._hub.news, changes.last
                    ask = partial(Changes.since, number=number, last=last, wanted=wanted, limit=BATCH)
                    found, more = await _asked(changes, ask, long=last - number > BATCH)
                    for change in found:
                        yield _event("execution", f"{changes.birth}-{change.number}", change.execution)
                    number = found[-1].number if more else last
                    if more or self._hub.ended(changes):
                        continue
                    before, ask_on = known.items, partial(Changes.trouble, known=known)
                    known = await _asked(changes, ask_on, long=len(before) >= FIRST)
                    for item in _differences(before, known.items):
                        yield _event("problem", f"{changes.birth}-{number}", item)
                    if known.more:
                        continue
                    try:
                        await asyncio.wait_for(news.wait(), HEARTBEAT_SECONDS)
                    except TimeoutError:
                        yield _heartbeat(changes, number)
        finally:
            self._gate.leave(uid)


async def _asked(changes: Changes, ask: Callable[[Changes], T], *, long: bool) -> T:
    """The answer; in a thread where it may take long: the others are answered meanwhile."""
    return await asyncio.to_thread(changes.apart, ask) if long else ask(changes)


def _differences(before: Problems, now: Problems) -> Iterator[dict[str, Any]]:
    """What is new or another trouble, and what is solved."""
    for path, item in now.items():
        if before.get(path) != item:
            yield {**item, "solved": False}
    for path in before.keys() - now.keys():
        yield {**before[path], "solved": True}


def _event(name: str, identity: str, content: object) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (identity.encode(), name.encode(), orjson.dumps(content))


def _heartbeat(changes: Changes, number: int) -> bytes:
    return _event("heartbeat", f"{changes.birth}-{number}", {"timestamp": rfc3339(Clock().now())})


def _last_seen(request: Request) -> tuple[str, int] | None:
    """The birth and the number that the client saw last; `0` stands for nothing yet."""
    text = request.headers.get("last-event-id", request.query_params.get("last_event_id"))
    if not text:
        return None
    birth, _, number = text.rpartition("-")
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise BadRequestError(f"Last-Event-ID is {text[:80]!r}: give the id of an event as it came, or 0")
    return birth, int(number)
