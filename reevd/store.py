"""The database, seen by its one writer. What is changed together is stored together: one transaction a batch.

Rows of executions are replaced by DELETE and INSERT. An UPDATE of an indexed column once lost an entry of the
index (in another engine), and a replaced row cannot be half new.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import apsw
import orjson

from reevd import database, statements
from reevd.catalog import Benchmark
from reevd.change import NO_FIRST_LOOKS, Calls, Change, FirstLooks
from reevd.fingerprint import Fingerprint, mark
from reevd.model import Decision, Execution
from reevd.names import files_of
from reevd.reading import NOTHING_KNOWN, FileRow, Known
from reevd.schema import migrate


def _json(values: Sequence[object]) -> str:
    return orjson.dumps(values).decode()


class Store:
    """`change`: the newest change's number. `page`: bytes of one. Raises FullError and IOError: nothing was stored.

    damage: what SQLite said where it met damage, whoever was told: it must be made anew
    """

    def __init__(self, path: str, vfs: str | None = None) -> None:
        self.path = path
        self.damage: str | None = None
        self.db, self.wal_bytes = database.connect(path, vfs), 0
        self.db.set_wal_hook(self._committed)
        try:
            self.page: int = self.db.pragma("page_size")
            migrate(self.db, path)
            self.change: int = self.db.execute(statements.LAST).get
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        self.db.close()

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows at once: a cursor left unfinished would keep the log from being checkpointed."""
        try:
            return list(self.db.execute(query, values))
        except (*database.DAMAGED, UnicodeDecodeError) as error:  # SQLite does not look at what a text holds
            self.damage = str(error)
            raise apsw.CorruptError(self.damage) from error

    def _first(self, query: str, values: tuple[object, ...] = ()) -> list[str]:
        return [row[0] for row in self.rows(query, values)]

    def known(self, execution_ids: Sequence[str]) -> Known:
        """What stands of these executions, in four queries however many they are; in one where all are new."""
        standing = self.standing(execution_ids) if execution_ids else ()
        if not standing:
            return NOTHING_KNOWN
        ids, names = _json([*standing]), _json([name for i in standing for name in files_of(i)])
        decisions: dict[str, list[Decision]] = {}
        query = "SELECT * FROM decisions WHERE execution_id IN (SELECT value FROM json_each(?))"
        for row in self.rows(query, (ids,)):
            decisions.setdefault(row[0], []).append(Decision(*row))
        files = self.rows("SELECT * FROM files WHERE name IN (SELECT value FROM json_each(?))", (names,))
        return Known(
            {row[0]: Execution._make(row) for row in self.rows(statements.STANDING, (ids,))},
            decisions,
            {row[0]: FileRow(row[0], Fingerprint(*row[1:6]), row[6]) for row in files},
        )

    def standing(self, execution_ids: Sequence[str]) -> set[str]:
        """Those of which anything stands."""
        return set(self._first(statements.STAND, (_json(execution_ids),)))

    def marks(self) -> set[int]:
        """The marks of all files that need no further look while they are as they were."""
        # As one JSON text: a third of the time of as many rows.
        (text,) = self.rows("SELECT json_group_array(mark) FROM files WHERE mark IS NOT NULL")[0]
        return set(orjson.loads(text))

    def unsettled(self) -> dict[int, str]:
        """Files that must be read again, however they look, by the mark of what was read last."""
        return {mark(*row): row[0] for row in self.rows(statements.UNSETTLED)}

    def read_since(self, change: int) -> tuple[set[int], dict[int, str]]:
        """Of executions that were stored after that change, the marks of files that are clean, and the others."""
        rows = self.rows(statements.READ_SINCE, (change,))
        clean = {row[-1] for row in rows if row[-1] is not None}
        return clean, {mark(*row[:-1]): row[0] for row in rows if row[-1] is None}

    def names_of(self, marks: set[int]) -> list[str]:
        return self._first("SELECT name FROM files WHERE mark IN (SELECT value FROM json_each(?))", (_json([*marks]),))

    def due(self, now: str) -> list[str]:
        """Executions whose deadline has come."""
        return self._first("SELECT execution_id FROM execution_states WHERE deadline_at <= ?", (now,))

    def undecided(self) -> list[str]:
        """Executions that a decision was made about and that have no row yet, or have not ended for all that."""
        return self._first(
            "SELECT DISTINCT d.execution_id FROM decisions d LEFT JOIN execution_states e USING (execution_id)"
            " WHERE e.execution_id IS NULL OR e.deadline_at IS NOT NULL"
        )

    def locked(self) -> list[str]:
        """Running executions whose runner promised to hold a lock."""
        return self._first("SELECT execution_id FROM execution_states WHERE deadline_at IS NOT NULL AND locked")

    def problem_paths(self) -> list[str]:
        return self._first("SELECT path FROM problems")

    def meta(self, key: str) -> int | str | None:
        rows = self.rows("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE: the wait for the writer's place is bounded, and happens before anything is read."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, database.DAMAGED):
                self.damage = str(error)
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def reconcile(
        self,
        changes: Sequence[Change],
        at: str,
        ahead: FirstLooks = NO_FIRST_LOOKS,
        *,
        solved: Collection[str] = (),
        journal_size: int | None = None,
    ) -> None:
        """Makes the database say what the looks found, in one transaction. journal_size: how far it knows the journal.

        at: the time of new problems. solved: paths that are in trouble no longer
        """
        executions = [c.execution for c in changes if c.execution is not None]
        with self.transaction():
            self.replace_executions(executions)
            self._replace_calls([(c.execution_id, c.calls) for c in changes if c.calls is not None])
            self._replace_files(changes)
            self._insert(ahead)
            self._replace_problems(changes, solved, at)
            decisions = [d for c in changes for d in c.decisions]
            if decisions:
                self.db.executemany("INSERT OR REPLACE INTO decisions VALUES (?,?,?,?,?,?)", decisions)
            if journal_size is not None and (decisions or ahead.lines or any(c.archive for c in changes)):
                self.set_meta("journal_size", journal_size)

    def replace_executions(self, rows: Sequence[Execution]) -> None:
        """Within a transaction."""
        self.db.executemany("DELETE FROM execution_states WHERE execution_id = ?", [(r.execution_id,) for r in rows])
        self._insert_executions(rows)

    def _insert_executions(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.db.executemany(statements.INSERT, [(number, *row) for number, row in enumerate(rows, self.change + 1)])
        self.change += len(rows)

    def _replace_calls(self, changed: Sequence[tuple[str, Calls]]) -> None:
        stale = [(execution_id, calls.start) for execution_id, calls in changed]
        self.db.executemany("DELETE FROM tool_calls WHERE execution_id = ? AND seq >= ?", stale)
        self.db.executemany(
            statements.INSERT_CALL, [row for execution_id, calls in changed for row in calls.rows(execution_id)]
        )

    def _replace_files(self, changes: Sequence[Change]) -> None:
        self.db.executemany("DELETE FROM files WHERE name = ?", [(name,) for c in changes for name in c.gone])
        self.db.executemany(statements.INSERT_FILE, [row for c in changes for row in c.file_rows])

    def _insert(self, ahead: FirstLooks) -> None:
        """Nothing stands of these: nothing is to be deleted."""
        if ahead.executions:
            self._insert_executions(ahead.executions)
            self.db.executemany(statements.INSERT_CALL, ahead.calls)
            self.db.executemany(statements.INSERT_FILE, ahead.files)

    def _replace_problems(self, changes: Sequence[Change], solved: Collection[str], at: str) -> None:
        if solved:
            self.db.executemany("DELETE FROM problems WHERE path = ?", [(path,) for path in solved])
        for problem in (p for c in changes for p in c.problems):
            old = self.rows("SELECT since, attempts FROM problems WHERE path = ?", (problem.path,))
            since, attempts = old[0] if old else (at, 0)
            self.db.execute("INSERT OR REPLACE INTO problems VALUES (?,?,?,?,?,?)", (*problem, since, attempts + 1))

    def set_meta(self, key: str, value: int | str) -> None:
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, value))

    def note(self, key: str, value: int | str, *, durably: bool = False) -> None:
        """durably: on the disk when it returns, and all that was stored before it."""
        before = self.db.pragma("synchronous")
        self.db.pragma("synchronous", "full" if durably else before)
        try:
            with self.transaction():
                self.set_meta(key, value)
        finally:
            self.db.pragma("synchronous", before)

    def under_way(self) -> list[Execution]:
        """All that have not ended."""
        return [Execution._make(row) for row in self.rows(f"{statements.SELECT} WHERE deadline_at IS NOT NULL")]

    def benchmarks(self) -> dict[str, Benchmark]:
        return {row[0]: Benchmark._make(row) for row in self.rows("SELECT * FROM benchmarks")}

    def replace_benchmarks(self, rows: Sequence[Benchmark], gone: Iterable[str]) -> None:
        with self.transaction():
            self.db.executemany("DELETE FROM benchmarks WHERE id = ?", [(i,) for i in (*gone, *(b.id for b in rows))])
            self.db.executemany("INSERT INTO benchmarks VALUES (?,?,?,?,?,?)", rows)

    def checkpoint(self, *, truncate: bool) -> bool:
        """Moves the log into the database; `truncate` also gives its space back. False where a reader needs it."""
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if truncate else apsw.SQLITE_CHECKPOINT_PASSIVE
        self.db.set_busy_timeout(0)  # a reader that takes its time must not make the engine wait
        try:
            with suppress(apsw.BusyError):
                log, moved = self.db.wal_checkpoint(mode=mode)
                if log == moved:
                    self.wal_bytes = 0
                    return True
        finally:
            self.db.set_busy_timeout(database.BUSY_MS)
        return False

    def _committed(self, _db: apsw.Connection, _name: str, frames: int) -> int:
        self.wal_bytes = frames * self.page
        return apsw.SQLITE_OK

    @property
    def moved(self) -> bool:
        """Whether the database file was renamed or removed under us: writes would go on unseen."""
        answer = ctypes.c_int(0)
        self.db.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(answer))
        return bool(answer.value)
