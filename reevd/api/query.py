"""All questions that the database answers, as the API words them. Reads only; no web framework.

Columns that hold JSON as text are passed through as they are, never parsed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from reevd.model import Execution
from reevd.schema import COLUMNS

BUSY_MS = 5_000
PAGE_CACHE_KIB = 4_096
# One result may have 16 MiB: a thousand of them must never be held at once.
PAGE_BYTES = 8 << 20


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


class Page(NamedTuple):
    """Some items and where the next ones begin; `next_cursor` is None behind the last."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class CursorError(ValueError):
    """A cursor that this API never gave out."""


def connect(path: str) -> apsw.Connection:
    """For reading only."""
    db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(BUSY_MS)
    db.pragma("cache_size", -PAGE_CACHE_KIB)
    return db


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


class Query:
    """One connection for reading. Raises apsw.Error as SQLite does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._db = connect(path)

    def close(self) -> None:
        self._db.close()

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._db.execute(query, values).fetchall()
        return found

    # -- executions ------------------------------------------------------------------------------------------

    def execution(self, execution_id: str) -> dict[str, Any] | None:
        rows = self._rows(f"SELECT {COLUMNS} FROM execution_states WHERE execution_id = ?", (execution_id,))  # noqa: S608
        return shown(rows[0]) if rows else None

    def newest(self, benchmark_id: str) -> dict[str, Any] | None:
        """The newest execution of a benchmark."""
        query = f"SELECT {COLUMNS} FROM execution_states WHERE benchmark_id = ? ORDER BY created_at DESC, execution_id DESC LIMIT 1"  # noqa: S608, E501
        rows = self._rows(query, (benchmark_id,))
        return shown(rows[0]) if rows else None

    def executions(self, wanted: Filter, limit: int, cursor: str | None) -> Page:
        """Newest first. Raises CursorError."""
        clauses, values = conditions(wanted)
        if cursor is not None:
            clauses.append("(created_at, execution_id) < (?, ?)")
            values += _decode(cursor, 2)
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        query = f"SELECT {COLUMNS} FROM execution_states {where} ORDER BY created_at DESC, execution_id DESC LIMIT ?"  # noqa: S608
        rows, more = fetch(self._db, query, (*values, limit + 1), limit)
        last = Execution._make(rows[-1]) if more else None
        return Page([shown(row) for row in rows], last and _encode(last.created_at, last.execution_id))

    def history(self, execution_id: str) -> Any:
        """JSON array of {status, at, reason}; None where the execution is unknown."""
        rows = self._rows("SELECT history FROM execution_states WHERE execution_id = ?", (execution_id,))
        return orjson.Fragment(rows[0][0]) if rows else None

    def tool_calls(self, execution_id: str, limit: int, cursor: str | None) -> Page:
        """In the order in which they began."""
        after = _decode(cursor, 1)[0] if cursor is not None else "-1"
        if not after.removeprefix("-").isdecimal():
            raise CursorError(cursor)
        query = (
            "SELECT seq, tool_name, started_at, duration_ms, params, result, status, error_message"
            " FROM tool_calls WHERE execution_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        )
        rows, more = fetch(self._db, query, (execution_id, int(after), limit + 1), limit)
        names = ("tool_name", "started_at", "duration_ms", "params", "result", "status", "error_message")
        items = [dict(zip(names, row[1:], strict=True)) for row in rows]
        for item in items:
            item["params"], item["result"] = _json(item["params"]), _json(item["result"])
        return Page(items, _encode(str(rows[-1][0])) if more else None)

    def counts(self) -> dict[str, int]:
        """Executions by status."""
        return dict(self._rows("SELECT status, count(*) FROM execution_states GROUP BY status"))

    # -- the rest --------------------------------------------------------------------------------------------

    def benchmarks(self) -> list[dict[str, Any]]:
        return [
            _benchmark(row) for row in self._rows("SELECT id, description, tags, prompt FROM benchmarks ORDER BY id")
        ]

    def benchmark(self, name: str) -> dict[str, Any] | None:
        """With its ten newest executions; None where neither the folder nor an execution names it."""
        rows = self._rows("SELECT id, description, tags, prompt FROM benchmarks WHERE id = ?", (name,))
        recent = [
            {"execution_id": i, "agent_type": agent, "status": status, "created_at": at, "score": score}
            for i, agent, status, at, score in self._rows(
                "SELECT execution_id, agent, status, created_at, score FROM execution_states WHERE benchmark_id = ?"
                " ORDER BY created_at DESC, execution_id DESC LIMIT 10",
                (name,),
            )
        ]
        if not rows and not recent:
            return None
        found = _benchmark(rows[0]) if rows else {"id": name, "description": "", "tags": [], "prompt": ""}
        latest = recent[0]["execution_id"] if recent else None
        return {**found, "recent_executions": recent, "latest_execution_id": latest}

    def agents(self) -> list[str]:
        """Those that have run, and those that the runner knows."""
        ran = {agent for (agent,) in self._rows("SELECT DISTINCT agent FROM execution_states")}
        noted = self._rows("SELECT value FROM meta WHERE key = 'agents'")
        return sorted(ran.union(*(orjson.loads(value) for (value,) in noted)))

    def problems(self, limit: int, cursor: str | None) -> Page:
        after = _decode(cursor, 1)[0] if cursor is not None else ""
        names = ("path", "execution_id", "kind", "message", "since", "attempts")
        query = f"SELECT {', '.join(names)} FROM problems WHERE path > ? ORDER BY path LIMIT ?"  # noqa: S608
        rows, more = fetch(self._db, query, (after, limit + 1), limit)
        items = [dict(zip(names, row, strict=True)) for row in rows]
        return Page(items, _encode(rows[-1][0]) if more else None)

    def problem_count(self) -> int:
        count: int = self._rows("SELECT count(*) FROM problems")[0][0]
        return count


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
        "result_data": _json(e.result_data),
        "metadata": _json(e.metadata),
        "score": e.score,
        "reason": e.reason,
        "started_at": e.started_at,
        "ended_at": e.ended_at,
        "deadline_at": e.deadline_at,
        "source": {"session": e.session_file, "otel": e.otel_file, "state": e.source_state},
        "tool_calls": e.tool_calls,
        "warnings": _json(e.warnings),
    }


def _json(text: str | None) -> Any:
    return None if text is None else orjson.Fragment(text)


def _benchmark(row: tuple[Any, ...]) -> dict[str, Any]:
    return {"id": row[0], "description": row[1], "tags": _json(row[2]), "prompt": row[3]}


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
        found.append("(" + " OR ".join(f"instr(lower({c}), ?)" for c in columns) + ")")
        values += [wanted.text.lower()] * len(columns)
    return found, values


def _encode(*parts: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(cursor: str, parts: int) -> list[str]:
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise CursorError(cursor) from None
    if not isinstance(values, list) or len(values) != parts or not all(isinstance(value, str) for value in values):
        raise CursorError(cursor)
    return values
