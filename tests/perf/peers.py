"""Programs that reevd is measured against, each a process: `python -m tests.perf.peers NAME FOLDER DATABASE`."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path

import apsw
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from tests.perf import floors


def raw(folder: str, database: str) -> None:
    """The floor of ingestion: raw inotify, batches, one thread."""
    floors.ingest(Path(folder), Path(database), 1)


class _Naive(FileSystemEventHandler):
    """What a first script looks like: the work inside the callback, a commit per file."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._db: sqlite3.Connection | None = None

    def on_created(self, event: FileSystemEvent) -> None:
        if self._db is None:
            self._db = sqlite3.connect(self._database)
        try:
            with open(event.src_path) as file:
                document = json.load(file)
        except (OSError, ValueError):
            return
        final = document.get("final_result")
        if final:
            values = document["session_id"], document["benchmark_id"], document["agent_type"], json.dumps(final)
            self._db.execute("INSERT OR REPLACE INTO execution_states VALUES (?,?,?,?)", values)
            self._db.commit()


def naive(folder: str, database: str) -> None:
    """The naive script: watchdog's own observer and sqlite3."""
    db = sqlite3.connect(database)
    db.execute("CREATE TABLE execution_states (execution_id TEXT PRIMARY KEY, benchmark_id, agent, result)")
    db.commit()
    observer = Observer()
    observer.schedule(_Naive(database), folder)
    observer.start()
    os.write(1, b"!")
    while True:
        time.sleep(60)


def bare(socket: str, database: str) -> None:
    """The floor of answering: one route, one lookup, the same columns as JSON text that was made before."""
    db = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
    names = [row[1] for row in db.execute("PRAGMA table_info(execution_states)")]

    async def execution(request: Request) -> Response:
        row = db.execute(
            "SELECT * FROM execution_states WHERE execution_id = ?", (request.path_params["id"],)
        ).fetchone()
        if row is None:
            return Response(status_code=404)
        return Response(floors.orjson.dumps(dict(zip(names, row, strict=True))), media_type="application/json")

    app = Starlette(routes=[Route("/api/v1/executions/{id}", execution)])
    os.write(1, b"!")
    uvicorn.run(app, uds=socket, log_level="critical", access_log=False, ws="none", lifespan="off")


if __name__ == "__main__":
    {"raw": raw, "naive": naive, "bare": bare}[sys.argv[1]](*sys.argv[2:])
