"""The API's own description, OpenAPI 3.1: served as it is, and asked which parameters an endpoint knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reevd.api.questions import BadRequestError
from reevd.api.service import Service

# libyaml's, where it was built in: ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

TEMPLATE = "reevd.template"
"""In a request's scope: the path of the route that answers it."""


@cache
def document() -> dict[str, Any]:
    """The whole of it."""
    found: dict[str, Any] = yaml.load(files("reevd.api").joinpath("openapi.yaml").read_bytes(), LOADER)  # noqa: S506
    return found


def strict(route: Route) -> Route:
    """The same, which refuses query parameters that the document does not name: a misspelt filter filters nothing."""
    endpoint: Callable[[Request], Awaitable[Response]] = route.endpoint

    async def checked(request: Request) -> Response:
        request.scope[TEMPLATE] = route.path
        if request.url.query:
            known = _known(route.path, request.method)
            for name in request.query_params:
                if name not in known:
                    takes = f"it takes {', '.join(known)}" if known else "it takes none"
                    raise BadRequestError(f"{name[:80]!r} is no parameter of it: {takes}")
        return await endpoint(request)

    return Route(route.path, checked, methods=list(route.methods or ()))


@cache
def _known(path: str, method: str) -> list[str]:
    operation = document()["paths"][path]["get" if method == "HEAD" else method.lower()]
    named = document()["components"]["parameters"]
    several = [named[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in operation.get("parameters", ())]
    return [parameter["name"] for parameter in several if parameter["in"] == "query"]


@cache
def _served() -> bytes:
    return orjson.dumps(document())


class Document:
    def __init__(self, _: Service) -> None:
        pass

    def routes(self) -> list[Route]:
        return [Route("/openapi.json", self.document)]

    async def document(self, _: Request) -> Response:
        """The document."""
        return Response(_served(), media_type="application/json")
