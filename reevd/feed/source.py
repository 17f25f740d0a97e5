"""Where outcomes come from: the database, read only, by the numbers of its changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from reevd.feed.outcome import FIELDS, Outcome
from reevd.model import ToolCall

BUSY_MS = 10_000
COLUMNS = ", ".join((*FIELDS, "tool_calls"))
CALLS = ", ".join(ToolCall._fields)
MOST_CALLS = 1_000
MOST_TEXT = 8_192


class Source:
    """Raises apsw.Error, also while there is no database yet."""

    def __init__(self, database: str) -> None:
        self._db = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
        self._db.set_busy_timeout(BUSY_MS)
        self.birth: str = self._db.execute("SELECT value FROM meta WHERE key = 'birth'").get
        """Another one where the database was made anew, and numbers begin again."""

    def close(self) -> None:
        self._db.close()

    def since(self, number: int, limit: int) -> tuple[list[Outcome], int]:
        """What has ended behind that change, and the number up to which that is all."""
        last: int = self._db.execute("SELECT coalesce(max(change), 0) FROM execution_states").get
        query = f"SELECT change, {COLUMNS} FROM execution_states WHERE change > ? AND deadline_at IS NULL"
        rows = self._rows(f"{query} ORDER BY change LIMIT ?", number, limit)
        reached = rows[-1][0] if len(rows) == limit else max(last, number)
        return [Outcome(*row[1:]) for row in rows], reached

    def outcomes(self, execution_ids: Sequence[str]) -> list[Outcome]:
        """As they stand now, with their calls; what is gone, or goes on again, is not there."""
        query = f"SELECT {COLUMNS} FROM execution_states WHERE execution_id = ? AND deadline_at IS NULL"
        rows = [row for execution_id in execution_ids for row in self._rows(query, execution_id)]
        return [Outcome(*row)._replace(calls=self._calls(row[0])) for row in rows]

    def _calls(self, execution_id: str) -> tuple[ToolCall, ...]:
        columns = CALLS.replace("params", f"substr(params, 1, {MOST_TEXT})")
        columns = columns.replace("result", f"substr(result, 1, {MOST_TEXT})")
        query = f"SELECT {columns} FROM tool_calls WHERE execution_id = ? ORDER BY seq LIMIT {MOST_CALLS}"
        return tuple(ToolCall(*row) for row in self._rows(query, execution_id))

    def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._db.execute(query, values).fetchall()
        return found
