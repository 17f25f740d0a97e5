"""All questions that the database answers, as the API words them. Reads only; no web framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from reevd.api.census import Census
from reevd.api.rows import (
    CALL,
    NEWEST_FIRST,
    Filter,
    Page,
    birth_of,
    conditions,
    connect,
    decode,
    encode,
    fetch,
    json_,
    place,
    shown,
)
from reevd.model import Execution
from reevd.schema import COLUMNS


class Query:
    """One connection for reading. Raises apsw.Error as SQLite does.

    birth, seconds: as `connect` takes them
    """

    def __init__(self, path: str, birth: str | None = None, seconds: float | None = None) -> None:
        self.path = path
        self._db = connect(path, birth, seconds)
        self.birth = birth_of(self._db)
        self._census = Census(self._db)

    def close(self) -> None:
        self._db.close()

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._db.execute(query, values).fetchall()
        return found

    # -- executions ------------------------------------------------------------------------------------------

    def execution(self, execution_id: str) -> dict[str, Any] | None:
        rows = self._rows(f"SELECT {COLUMNS} FROM execution_states WHERE execution_id = ?", (execution_id,))
        return shown(rows[0]) if rows else None

    def newest(self, benchmark_id: str) -> dict[str, Any] | None:
        """The newest execution of a benchmark."""
        query = f"SELECT {COLUMNS} FROM execution_states WHERE benchmark_id = ? {NEWEST_FIRST} LIMIT 1"
        rows = self._rows(query, (benchmark_id,))
        return shown(rows[0]) if rows else None

    def executions(self, wanted: Filter, limit: int, cursor: str | None) -> Page:
        """Newest first. Raises CursorError."""
        clauses, values = conditions(wanted)
        if cursor is not None:
            clauses.append("(created_at, execution_id) < (?, ?)")
            values += decode(cursor, 2)
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        query = f"SELECT {COLUMNS} FROM execution_states {where} {NEWEST_FIRST} LIMIT ?"
        rows, more = fetch(self._db, query, (*values, limit + 1), limit)
        last = Execution._make(rows[-1]) if more else None
        return Page([shown(row) for row in rows], last and encode(last.created_at, last.execution_id))

    def knows(self, execution_id: str) -> bool:
        return bool(self._rows("SELECT 1 FROM execution_states WHERE execution_id = ?", (execution_id,)))

    def history(self, execution_id: str, limit: int, cursor: str | None) -> Page | None:
        """Of {status, at, reason}, oldest first; None where the execution is unknown. Raises CursorError."""
        begin = place(cursor, decode(cursor, 1)[0]) if cursor is not None else 0
        rows = self._rows("SELECT history FROM execution_states WHERE execution_id = ?", (execution_id,))
        if not rows:
            return None
        steps, end = orjson.loads(rows[0][0]), begin + limit
        return Page(steps[begin:end], encode(str(end)) if len(steps) > end else None)

    def tool_calls(self, execution_id: str, limit: int, cursor: str | None) -> Page:
        """In the order in which they began."""
        after = place(cursor, decode(cursor, 1)[0]) if cursor is not None else -1
        query = (
            "SELECT seq, tool_name, started_at, duration_ms, params, result, status, error_message"
            " FROM tool_calls WHERE execution_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        )
        rows, more = fetch(self._db, query, (execution_id, after, limit + 1), limit)
        return Page([_call(CALL, row[1:]) for row in rows], encode(str(rows[-1][0])) if more else None)

    def all_tool_calls(self, wanted: Filter, limit: int, cursor: str | None) -> Page:
        """Of all executions that `wanted` lets through, in the order of their list. Raises CursorError."""
        clauses, values = conditions(wanted)
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        after = ""
        if cursor is not None:
            created, execution_id, seq = decode(cursor, 3)
            after = "WHERE (e.created_at, e.execution_id) <= (?, ?) AND NOT (e.execution_id = ? AND c.seq <= ?)"
            values += [created, execution_id, execution_id, place(cursor, seq)]
        query = (
            "SELECT e.created_at, c.seq, e.execution_id, e.benchmark_id, e.agent, c.tool_name, c.started_at,"
            " c.duration_ms, c.params, c.result, c.status, c.error_message"
            f" FROM (SELECT created_at, execution_id, benchmark_id, agent FROM execution_states {where}) e"
            f" JOIN tool_calls c ON c.execution_id = e.execution_id {after}"
            " ORDER BY e.created_at DESC, e.execution_id DESC, c.seq LIMIT ?"
        )
        rows, more = fetch(self._db, query, (*values, limit + 1), limit)
        names = ("execution_id", "benchmark_id", "agent", *CALL)
        items = [_call(names, row[2:]) for row in rows]
        return Page(items, encode(rows[-1][0], rows[-1][2], str(rows[-1][1])) if more else None)

    def counts(self) -> dict[str, int]:
        """Executions by status."""
        return self._census.counts()

    # -- the rest --------------------------------------------------------------------------------------------

    def benchmarks(self, limit: int, cursor: str | None) -> Page:
        """Sorted by id. Raises CursorError."""
        after = decode(cursor, 1)[0] if cursor is not None else ""
        query = "SELECT id, description, tags, prompt FROM benchmarks WHERE id > ? ORDER BY id LIMIT ?"
        rows, more = fetch(self._db, query, (after, limit + 1), limit)
        return Page([_benchmark(row) for row in rows], encode(rows[-1][0]) if more else None)

    def benchmark(self, name: str) -> dict[str, Any] | None:
        """With its ten newest executions; None where neither the folder nor an execution names it."""
        rows = self._rows("SELECT id, description, tags, prompt FROM benchmarks WHERE id = ?", (name,))
        recent = [
            {"execution_id": i, "agent_type": agent, "status": status, "created_at": at, "score": score}
            for i, agent, status, at, score in self._rows(
                "SELECT execution_id, agent, status, created_at, score FROM execution_states WHERE benchmark_id = ?"
                f" {NEWEST_FIRST} LIMIT 10",
                (name,),
            )
        ]
        if not rows and not recent:
            return None
        found = _benchmark(rows[0]) if rows else {"id": name, "description": "", "tags": [], "prompt": ""}
        latest = recent[0]["execution_id"] if recent else None
        return {**found, "recent_executions": recent, "latest_execution_id": latest}

    def agents(self, limit: int, cursor: str | None) -> Page:
        """Those that have run, and those that the runner knows, sorted by name. Raises CursorError."""
        after = decode(cursor, 1)[0] if cursor is not None else ""
        ran = {agent for (agent,) in self._rows("SELECT DISTINCT agent FROM execution_states")}
        noted = self._rows("SELECT value FROM meta WHERE key = 'agents'")
        found = sorted(name for name in ran.union(*(orjson.loads(value) for (value,) in noted)) if name > after)
        return Page(found[:limit], encode(found[limit - 1]) if len(found) > limit else None)

    def problems(self, limit: int, cursor: str | None) -> Page:
        after = decode(cursor, 1)[0] if cursor is not None else ""
        names = ("path", "execution_id", "kind", "message", "since", "attempts")
        query = f"SELECT {', '.join(names)} FROM problems WHERE path > ? ORDER BY path LIMIT ?"
        rows, more = fetch(self._db, query, (after, limit + 1), limit)
        items = [dict(zip(names, row, strict=True)) for row in rows]
        return Page(items, encode(rows[-1][0]) if more else None)

    def problem_count(self) -> int:
        count: int = self._rows("SELECT count(*) FROM problems")[0][0]
        return count


def _call(names: Sequence[str], row: tuple[Any, ...]) -> dict[str, Any]:
    found = dict(zip(names, row, strict=True))
    return {**found, "params": json_(found["params"]), "result": json_(found["result"])}


def _benchmark(row: tuple[Any, ...]) -> dict[str, Any]:
    return {"id": row[0], "description": row[1], "tags": json_(row[2]), "prompt": row[3]}
