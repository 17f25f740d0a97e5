"""Endpoints about many runs together."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd.analysis.comparison import compare
from reevd.analysis.flakiness import flaky
from reevd.analysis.performance import performance
from reevd.api.answers import JSON, array, problem
from reevd.api.questions import BadRequestError, filter_, number, paging, peer, period
from reevd.api.rows import CursorError, Page, decode, encode
from reevd.api.service import Service
from reevd.api.tallies import Scope, SlowError, Tallies

NEWEST = 50
AGENTS = 100  # told of at once
MIN_RUNS, MOST_RUNS = 2, 1_000_000


class Analytics:
    """Each question is asked in a thread, on a connection of its own: it may have to look at every execution."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        return [
            Route("/agent-performance", self.agent_performance),
            Route("/compare", self.compare),
            Route("/flaky", self.flaky),
            Route("/tool-calls", self.tool_calls),
        ]

    async def agent_performance(self, request: Request) -> Response:
        """Each agent's success rate with its interval, best and worst benchmarks, trend, and newest results."""
        scope, (limit, cursor) = _scope(request), paging(request)
        after = decode(cursor, 1)[0] if cursor is not None else ""

        def ask(tallies: Tallies) -> Page:
            found = sorted((agent, tally) for agent, tally in tallies.by_benchmark(scope).items() if agent > after)
            agents = dict(found[:AGENTS])
            halves = tallies.halves(scope, agents)
            items = [
                {
                    **performance(agent, list(found.values()), *halves[agent]),
                    "results": tallies.results(scope._replace(agent=agent), found, limit),
                }
                for agent, found in agents.items()
                if agent in halves  # one that came between the two questions is told of next time
            ]
            return Page(items, encode(found[AGENTS - 1][0]) if len(found) > AGENTS else None)

        return await self._asked(request, ask)

    async def compare(self, request: Request) -> Response:
        """Two agents, `a` and `b`, over the benchmarks that both have run."""
        names = [request.query_params.get(side, "") for side in "ab"]
        if not all(names):
            raise BadRequestError("it names no two agents: give ?a=AGENT&b=AGENT, as GET /api/v1/agents lists them")
        scope = _scope(request)

        def ask(tallies: Tallies) -> dict[str, Any] | Response:
            agents = [tallies.by_benchmark(scope._replace(agent=name)).get(name) for name in names]
            for name, found in zip(names, agents, strict=True):
                if found is None:
                    return _none(names, name, scope)
            first, second = agents
            return {"a": names[0], "b": names[1], **compare(first or {}, second or {})}

        return await self._asked(request, ask)

    async def flaky(self, request: Request) -> Response:
        """Benchmarks that one agent has run with different outcomes, the least steady first."""
        scope = _scope(request)
        least = number(request, "min_runs", MIN_RUNS, MIN_RUNS, MOST_RUNS)
        limit, cursor = paging(request)
        after = _order(*decode(cursor, 3)) if cursor is not None else None

        def ask(tallies: Tallies) -> dict[str, Any]:
            found = [
                flaky(tally, tallies.newest(scope._replace(agent=agent, benchmark_id=name), NEWEST))
                for agent, several in tallies.by_benchmark(scope).items()
                for name, tally in several.items()
                if tally.executions >= least and 0 < tally.completed < tally.executions
            ]
            places = sorted((_order(row["flip_rate"], row["benchmark_id"], row["agent_type"]), row) for row in found)
            left = [each for each in places if after is None or each[0] > after]
            items = [row for _, row in left[:limit]]
            last = items and (repr(items[-1]["flip_rate"]), items[-1]["benchmark_id"], items[-1]["agent_type"])
            return {
                "items": items,
                "next_cursor": encode(*last) if len(left) > limit else None,
                "total": len(found),
            }

        return await self._asked(request, ask)

    async def tool_calls(self, request: Request) -> Response:
        """All tool calls of the executions that a filter lets through, in the order of their list."""
        limit, cursor = paging(request)
        wanted = filter_(request)
        page = await self._service.search(
            peer(request)["uid"], wanted, lambda query: query.all_tool_calls(wanted, limit, cursor)
        )
        return JSON(page._asdict())

    async def _asked(self, request: Request, ask: Any) -> Response:
        try:
            answer = await self._service.apart(peer(request)["uid"], Tallies, ask)
        except SlowError as error:
            message = f"reading {request.url.path}: {error}: ask for less with since, until, agent or benchmark_id"
            return problem(503, "not ready", message)
        if isinstance(answer, Response):
            return answer
        return array(request, answer) if isinstance(answer, Page) else JSON(answer)


def _order(flip_rate: float | str, benchmark_id: str, agent: str) -> tuple[float, str, str]:
    """Where a row stands among the flaky ones. Raises CursorError where the rate is no number."""
    try:
        return -float(flip_rate), benchmark_id, agent
    except ValueError:
        raise CursorError(flip_rate) from None


def _none(names: list[str], name: str, scope: Scope) -> Response:
    """One of the two agents has run nothing that could be compared."""
    asked = (("of", scope.benchmark_id), ("since", scope.since), ("until", scope.until))
    narrowed = "".join(f" {word} {value}" for word, value in asked if value)
    why = f"{name!r} has no ended execution{narrowed}"
    hint = f"{'ask for more, or ' if narrowed else ''}take an agent that has run, as GET /api/v1/agents lists them"
    return problem(404, "not found", f"comparing the agents {names[0]!r} and {names[1]!r}: {why}: {hint}")


def _scope(request: Request) -> Scope:
    since, until = period(request)
    return Scope(request.query_params.get("agent"), request.query_params.get("benchmark_id"), since, until)
