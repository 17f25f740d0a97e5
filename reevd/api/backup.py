"""GET /backup: the whole database, consistent at one moment, as a file of SQLite, while the daemon goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from reevd.api.rows import connect
from reevd.api.service import Service

PREFIX = ".backup-"
CHUNK = 1 << 20
TYPE = "application/vnd.sqlite3"


class Backup:
    """One copy at a time: each needs as much of the disk as the database has."""

    def __init__(self, service: Service) -> None:
        self._service, self._one = service, asyncio.Lock()

    def routes(self) -> list[Route]:
        return [Route("/backup", self.backup)]

    async def backup(self, request: Request) -> Response:
        if refusal := self._service.refusal(request, "take a backup"):
            return refusal
        async with self._one:
            descriptor = await asyncio.to_thread(copy, self._service.database, self._service.query.birth)
        size = os.fstat(descriptor).st_size
        return StreamingResponse(_read(descriptor), headers={"Content-Length": str(size)}, media_type=TYPE)


def copy(database: str, birth: str) -> int:
    """A descriptor of the copy, which has no name any more. Raises apsw.Error, as for a full disk."""
    home = Path(database).parent
    for left in home.glob(f"{PREFIX}*"):  # of a copy that was cut short
        shutil.rmtree(left)
    with contextlib.closing(connect(database, birth)) as db, contextlib.suppress(FileNotFoundError):
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=home)
        path = os.path.join(folder, "copy")
        try:
            db.execute("VACUUM INTO ?", (path,))
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            shutil.rmtree(folder)
    raise apsw.CantOpenError("the copy is gone")


async def _read(descriptor: int) -> AsyncIterator[bytes]:
    try:
        while data := await asyncio.to_thread(os.read, descriptor, CHUNK):
            yield data
    finally:
        os.close(descriptor)
