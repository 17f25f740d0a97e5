"""The questions behind the analyses: sums over all ended executions, from an index that holds all they need.

Each question has a connection of its own, and so many seconds: it is asked in a thread, while others are answered.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import apsw

from reevd.analysis.performance import Half
from reevd.analysis.rates import Tally
from reevd.api.rows import NEWEST_FIRST, SECONDS, connect
from reevd.session_file import dumps
from reevd.times import from_rfc3339, rfc3339


class SlowError(Exception):
    """The question took too long."""


class Scope(NamedTuple):
    """Which ended executions; None means all. Times are RFC 3339 text, inclusive."""

    agent: str | None = None
    benchmark_id: str | None = None
    since: str | None = None
    until: str | None = None

    def clause(self) -> tuple[str, list[str]]:
        """The WHERE of it, and its values."""
        pairs = (
            ("agent = ?", self.agent),
            ("benchmark_id = ?", self.benchmark_id),
            ("created_at >= ?", self.since),
            ("created_at <= ?", self.until),
        )
        given = [(text, value) for text, value in pairs if value is not None]
        return " AND ".join(["deadline_at IS NULL", *(text for text, _ in given)]), [value for _, value in given]


class Tallies:
    """One connection. Raises SlowError, and apsw.Error as SQLite does."""

    def __init__(self, path: str, birth: str | None = None) -> None:
        """birth: as `connect` takes it."""
        self._db = connect(path, birth, SECONDS)

    def close(self) -> None:
        self._db.close()

    def by_benchmark(self, scope: Scope) -> dict[str, dict[str, Tally]]:
        """By agent, then by benchmark."""
        where, values = scope.clause()
        found: dict[str, dict[str, Tally]] = {}
        # With one max(), SQLite takes the bare columns from the row that holds it: the newest.
        query = (
            "SELECT agent, benchmark_id, count(*), sum(status = 'Completed'), count(score), total(score),"
            f" max(created_at), status, score FROM execution_states WHERE {where} GROUP BY agent, benchmark_id"
        )
        for row in self._rows(query, values):
            found.setdefault(row[0], {})[row[1]] = Tally._make(row)
        return found

    def halves(self, scope: Scope, agents: Mapping[str, Mapping[str, Tally]]) -> dict[str, tuple[Half, Half]]:
        """By agent: the earlier and the later half of the time between its first and its last run."""
        where, values = scope.clause()
        bounds = self._rows(
            f"SELECT agent, min(created_at), max(created_at) FROM execution_states WHERE {where} GROUP BY agent",
            values,
        )
        found = {}
        for agent, first, last in bounds:
            if agent in agents:
                middle = _middle(first, last)
                found[agent] = self._half(agent, scope, "<", middle), self._half(agent, scope, ">=", middle)
        return found

    def _half(self, agent: str, scope: Scope, operator: str, middle: str) -> Half:
        where, values = scope._replace(agent=agent).clause()
        query = (
            "SELECT count(*), total(status = 'Completed'), count(score), total(score)"
            f" FROM execution_states WHERE {where} AND created_at {operator} ?"
        )
        executions, completed, scored, total = self._rows(query, [*values, middle])[0]
        return Half(executions, int(completed), scored, total)

    def newest(self, scope: Scope, limit: int) -> list[str]:
        """The statuses of the last runs, newest first."""
        where, values = scope.clause()
        query = f"SELECT status FROM execution_states WHERE {where} {NEWEST_FIRST} LIMIT ?"
        return [row[0] for row in self._rows(query, [*values, limit])]

    def results(self, scope: Scope, benchmarks: Iterable[str], limit: int) -> list[dict[str, Any]]:
        """The last runs of these benchmarks as agent-performance lists them, newest first."""
        newest: list[tuple[str, str]] = []
        for name in benchmarks:  # each from its place in the index; to sort all of an agent's runs would take seconds
            where, values = scope._replace(benchmark_id=name).clause()
            query = f"SELECT created_at, execution_id FROM execution_states WHERE {where} {NEWEST_FIRST} LIMIT ?"
            newest = heapq.nlargest(limit, [*newest, *self._rows(query, [*values, limit])])
        query = (
            "SELECT execution_id, benchmark_id, score, status, created_at,"
            " json_extract(result_data, '$.final_result.execution_time_ms')"
            f" FROM execution_states WHERE execution_id IN (SELECT value FROM json_each(?)) {NEWEST_FIRST}"
        )
        names = ("session_id", "benchmark_id", "score", "final_status", "timestamp", "execution_time_ms")
        rows = [
            dict(zip(names, row, strict=True))
            for row in self._rows(query, [dumps([execution_id for _, execution_id in newest])])
        ]
        for row in rows:
            if not isinstance(row["execution_time_ms"], int | float):
                row["execution_time_ms"] = None
        return rows

    def _rows(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        try:
            found: list[tuple[Any, ...]] = self._db.execute(query, values).fetchall()
        except apsw.InterruptError as error:
            raise SlowError(f"it takes longer than {SECONDS:g} s") from error
        return found


def _middle(first: str, last: str) -> str:
    return rfc3339(((from_rfc3339(first) or 0) + (from_rfc3339(last) or 0)) // 2)
