"""What changed since: the questions behind the live events. A connection of its own, which only watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from reevd.api.rows import Filter, conditions, connect, fetch, shown
from reevd.schema import COLUMNS

NONE_KNOWN: Mapping[str, dict[str, Any]] = {}


class Change(NamedTuple):
    """An execution as it stands after its change of that number."""

    number: int
    execution: dict[str, Any]


class Changes:
    """Raises apsw.Error as SQLite does."""

    def __init__(self, path: str) -> None:
        self._db = connect(path)
        self.birth: str = self._db.execute("SELECT value FROM meta WHERE key = 'birth'").get
        """Another one where the database was made anew, and numbers begin again."""

    def close(self) -> None:
        self._db.close()

    @property
    def version(self) -> int:
        """Another number after each commit of the engine."""
        version: int = self._db.pragma("data_version")
        return version

    @property
    def last(self) -> int:
        """The number of the newest change; 0 where there is none."""
        number: int = self._db.execute("SELECT coalesce(max(change), 0) FROM execution_states").get
        return number

    def since(self, number: int, last: int, wanted: Filter, limit: int) -> tuple[list[Change], bool]:
        """The changes behind `number` up to `last`, oldest first. Of each execution only the newest is there.

        And whether there are more of them.
        """
        where, values = conditions(wanted)
        clause = " AND ".join(["change > ?", "change <= ?", *where])
        query = f"SELECT change, {COLUMNS} FROM execution_states WHERE {clause} ORDER BY change LIMIT ?"
        rows, more = fetch(self._db, query, (number, last, *values, limit + 1), limit)
        return [Change(row[0], shown(row[1:])) for row in rows], more

    def problems(self, known: Mapping[str, dict[str, Any]] = NONE_KNOWN) -> dict[str, dict[str, Any]]:
        """The files in trouble, by path: the first thousand, and those of `known` that are in trouble still."""
        names = ("path", "execution_id", "kind", "message", "since")
        rows = self._db.execute(f"SELECT {', '.join(names)} FROM problems ORDER BY path LIMIT 1000")
        found = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
        if left := known.keys() - found.keys():
            query = "SELECT path FROM problems WHERE path IN (SELECT value FROM json_each(?))"
            standing = self._db.execute(query, (orjson.dumps(list(left)).decode(),))
            found.update({path: known[path] for (path,) in standing})
        return found
