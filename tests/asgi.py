"""The API without a process and a socket: a request handed to the application, over a database that stands."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import unquote

from reevd.api.app import App
from reevd.api.service import Service


def ask(database: str, *paths: str) -> list[tuple[int, Any]]:
    """The status and the JSON of the answer to GET, for each path."""

    async def all_of_them() -> list[tuple[int, Any]]:
        service = Service(database, "", None, 0)
        app = App(service)
        answers = [await _get(app, path) for path in paths]
        service.reopen()  # closes it
        return answers

    return asyncio.run(all_of_them())


async def _get(app: App, path: str) -> tuple[int, Any]:
    where, _, query = path.partition("?")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "server": ("reevd", 80),
        "path": unquote(where),
        "raw_path": where.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [],
        "extensions": {"reevd.peer": {"pid": 1, "uid": 0, "groups": []}},
    }
    await app(scope, receive, send)
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))
