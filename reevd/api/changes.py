"""What changed since: the questions behind the live events. A connection of its own, which only watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import orjson

from reevd.api.rows import Filter, birth_of, conditions, connect, fetch, shown
from reevd.schema import COLUMNS

PROBLEM = ("path", "execution_id", "kind", "message", "since")
# Of many files in trouble a listener is told of the first, and of what comes; so many are kept in mind for one.
FIRST, MOST = 1_000, 5_000
LONG_AGO = ("", "")

T = TypeVar("T")


class Change(NamedTuple):
    """An execution as it stands after its change of that number."""

    number: int
    execution: dict[str, Any]


class Trouble(NamedTuple):
    """Files in trouble, by path, as a listener knows them.

    newest: when the newest of them began, and its path; what begins later is new. more: there is more of that yet
    """

    items: Mapping[str, dict[str, Any]] = {}
    newest: tuple[str, str] = LONG_AGO
    more: bool = False


class Changes:
    """Raises apsw.Error as SQLite does."""

    def __init__(self, path: str, birth: str | None = None) -> None:
        """birth: as `connect` takes it."""
        self._path, self._db = path, connect(path, birth)
        self.birth = birth_of(self._db)

    def close(self) -> None:
        self._db.close()

    def apart(self, ask: Callable[[Changes], T]) -> T:
        """What a connection of its own answers: in a thread, while others go on asking this one."""
        with closing(Changes(self._path, self.birth)) as own:
            return ask(own)

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

    def trouble(self, known: Trouble | None = None) -> Trouble:
        """What stands of `known`, and what is new since. Without it, what is told of to begin with."""
        found = self._problems("ORDER BY path LIMIT ?", FIRST)
        if len(found) < FIRST:
            return Trouble(found, max(map(_since, found.values()), default=LONG_AGO))
        if known is None:
            (last,) = self._problems("ORDER BY since DESC, path DESC LIMIT 1").values()
            return Trouble(found, _since(last))
        if left := known.items.keys() - found.keys():
            found |= self._problems("WHERE path IN (SELECT value FROM json_each(?))", orjson.dumps(list(left)).decode())
        if len(found) >= MOST:
            return Trouble(found, known.newest)
        later = self._problems("WHERE (since, path) > (?, ?) ORDER BY since, path LIMIT ?", *known.newest, FIRST)
        newest = max(map(_since, later.values()), default=known.newest)
        return Trouble(found | later, newest, len(later) == FIRST)

    def _problems(self, which: str, *values: object) -> dict[str, dict[str, Any]]:
        rows = self._db.execute(f"SELECT {', '.join(PROBLEM)} FROM problems {which}", values)
        return {row[0]: dict(zip(PROBLEM, row, strict=True)) for row in rows}


def _since(problem: Mapping[str, Any]) -> tuple[str, str]:
    return problem["since"], problem["path"]
