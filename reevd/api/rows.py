"""Rows as the API shows them, a page of them, and the way to the next one.

Columns that hold JSON as text are passed through as they are, never parsed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from reevd.model import Execution

BUSY_MS = 5_000
PAGE_CACHE_KIB = 4_096
# One result may have 16 MiB: a thousand of them must never be held at once.
PAGE_BYTES = 8 << 20
DIGITS = 18  # of a number that SQLite can hold
NEWEST_FIRST = "ORDER BY created_at DESC, execution_id DESC"

CALL = ("tool_name", "started_at", "duration_ms", "params", "result", "status", "error_message")


class Filter(NamedTuple):
    """Which executions to list; None and empty mean all. Times are RFC 3339 text, bounds are inclusive."""

    status: Sequence[str] = ()
    agent: str | None = None
    benchmark_id: str | None = None
    since: str | None = None
    until: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    text: str | None = None

    @property
    def slow(self) -> bool:
        """Whether no index helps: every execution may have to be looked at."""
        return bool(self.text) or self.min_score is not None or self.max_score is not None


class Page(NamedTuple):
    """Some items and where the next ones begin; `next_cursor` is None behind the last."""

    items: list[Any]
    next_cursor: str | None


SECONDS = 20.0
"""How long a question may take that is asked apart."""
STEPS = 50_000
"""SQLite's own steps between two looks at the clock."""


class CursorError(ValueError):
    """A cursor that this API never gave out."""


class RemadeError(apsw.Error):
    """Another database stands there than the one that is answered from."""


def connect(path: str, birth: str | None = None, seconds: float | None = None) -> apsw.Connection:
    """For reading only. Raises RemadeError where `birth` is given, and is not that of the database.

    seconds: after so many, whatever is asked raises apsw.InterruptError; None: it takes as long as it does
    """
    db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(BUSY_MS)
    db.pragma("cache_size", -PAGE_CACHE_KIB)
    db.create_scalar_function("casefold", _casefold, 1, deterministic=True)
    if seconds is not None:
        ends = time.monotonic() + seconds
        db.set_progress_handler(lambda: time.monotonic() > ends, STEPS)
    try:
        if birth is not None and birth_of(db) != birth:
            raise RemadeError("it is made anew just now, and says not yet what it said before")
    except BaseException:
        db.close()
        raise
    return db


def birth_of(db: apsw.Connection) -> str:
    """Another one where the database was made anew, and numbers of changes begin again."""
    birth: str = db.execute("SELECT value FROM meta WHERE key = 'birth'").get
    return birth


def _casefold(*texts: Any) -> str | None:
    return texts[0].casefold() if isinstance(texts[0], str) else None


def fetch(db: apsw.Connection, query: str, values: Sequence[object], limit: int) -> tuple[list[tuple[Any, ...]], bool]:
    """At most `limit` rows, fewer once they hold PAGE_BYTES; and whether there are more of them."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    with contextlib.closing(db.cursor()) as cursor:
        for row in cursor.execute(query, values):
            if len(rows) == limit or size > PAGE_BYTES:
                return rows, True
            rows.append(row)
            size += sum(len(value) for value in row if type(value) is str)
    return rows, False


def shown(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row as the API shows an execution."""
    e = Execution._make(row)
    return {
        "execution_id": e.execution_id,
        "benchmark_id": e.benchmark_id,
        "agent": e.agent,
        "status": e.status,
        "created_at": e.created_at,
        "updated_at": e.updated_at,
        "progress": e.progress,
        "error_message": e.error_message,
        "result_data": json_(e.result_data),
        "metadata": json_(e.metadata),
        "score": e.score,
        "reason": e.reason,
        "started_at": e.started_at,
        "ended_at": e.ended_at,
        "deadline_at": e.deadline_at,
        "source": {"session": e.session_file, "otel": e.otel_file, "state": e.source_state},
        "tool_calls": e.tool_calls,
        "warnings": json_(e.warnings),
    }


def json_(text: str | None) -> Any:
    return None if text is None else orjson.Fragment(text)


def conditions(wanted: Filter) -> tuple[list[str], list[Any]]:
    """The SQL of a filter: conditions to be joined by AND, and their values."""
    found, values = [], list[Any]()
    if wanted.status:
        found.append(f"status IN ({','.join('?' * len(wanted.status))})")
        values += wanted.status
    for column, operator, value in (
        ("agent", "=", wanted.agent),
        ("benchmark_id", "=", wanted.benchmark_id),
        ("created_at", ">=", wanted.since),
        ("created_at", "<=", wanted.until),
        ("score", ">=", wanted.min_score),
        ("score", "<=", wanted.max_score),
    ):
        if value is not None:
            found.append(f"{column} {operator} ?")
            values.append(value)
    if wanted.text:
        columns = ("execution_id", "benchmark_id", "agent", "error_message", "reason")
        # SQLite's own knows the capitals of ASCII alone, which is all that ASCII needs, and is far faster.
        low, text = ("lower", wanted.text.lower()) if wanted.text.isascii() else ("casefold", wanted.text.casefold())
        found.append("(" + " OR ".join(f"instr({low}({c}), ?)" for c in columns) + ")")
        values += [text] * len(columns)
    return found, values


def encode(*parts: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode(cursor: str, parts: int) -> list[str]:
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise CursorError(cursor) from None
    if not isinstance(values, list) or len(values) != parts or not all(isinstance(value, str) for value in values):
        raise CursorError(cursor)
    return values


def place(cursor: str, text: str) -> int:
    """The number that a part of a cursor is. Raises CursorError."""
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS:
        raise CursorError(cursor)
    return int(text)
