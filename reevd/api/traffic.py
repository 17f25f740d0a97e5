"""What the server has answered, counted as cheaply as can be: a look-up and two additions a request."""

from __future__ import annotations

from typing import NamedTuple


class Route(NamedTuple):
    """`path` is the template, such as /api/v1/executions/{id}: there are few of them. `other`: none of ours."""

    method: str
    path: str
    status: int


class Traffic:
    """`answered`: to each route, how many answers and how many seconds they took in all."""

    def __init__(self) -> None:
        self.answered: dict[Route, list[float]] = {}

    def note(self, route: Route, seconds: float) -> None:
        tally = self.answered.get(route)
        if tally is None:
            tally = self.answered[route] = [0, 0.0]
        tally[0] += 1
        tally[1] += seconds
