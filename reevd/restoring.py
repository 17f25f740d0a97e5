"""`reevd restore`: a backup takes the place of the database, which is moved aside and never overwritten.

The journal is made anew from the backup: what no file of the sessions folder says stands in both. The next start
scans the folder, so that the files that are there have the last word.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from reevd import restore
from reevd.clock import Clock
from reevd.errors import ReevdError
from reevd.journal import Journal
from reevd.lock import hold
from reevd.model import Decision, Execution
from reevd.schema import COLUMNS, VERSION
from reevd.store import Store
from reevd.times import rfc3339

BATCH = 500
NEW = ".restoring"


class RestoreError(ReevdError):
    """The backup could not be put back; nothing has changed."""


class Checked(NamedTuple):
    schema: int
    executions: int


def check(path: str) -> Checked:
    """Opens a backup and reads all of it. Raises RestoreError where it is none, or damaged."""
    doing = "checking the backup"
    try:
        with contextlib.closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as db:
            said = db.execute("PRAGMA integrity_check").get
            schema: int = db.pragma("user_version")
            if said != "ok" or not schema:
                why = said if said != "ok" else "it is a database, and none of reevd's"
                raise RestoreError(doing, path, why, "take another one")
            if schema > VERSION:
                why = f"its schema is version {schema}, and this reevd knows versions up to {VERSION}"
                raise RestoreError(doing, path, why, "restore it with the reevd that made it, or a newer one")
            return Checked(schema, db.execute("SELECT count(*) FROM execution_states").get)
    except apsw.Error as error:
        raise RestoreError(doing, path, error, "see that it is a file of `reevctl backup`, whole") from error


def put_back(backup: str, database: str) -> str:
    """Returns under which name the old database stands now, empty where there was none.

    Raises RestoreError, and BusyError while a daemon uses the database.
    """
    checked = check(backup)
    os.makedirs(os.path.dirname(database) or ".", mode=0o750, exist_ok=True)
    database = os.path.realpath(database)
    lock = hold(database + ".lock")
    try:
        _prepare(backup, database)
        label = f".replaced-{rfc3339(Clock().now()).replace(':', '')}"
        moved = [ending for ending in ("-wal", "-shm", ".journal", "") if _move(database + ending, label)]
        for ending in (".journal", ""):
            os.rename(database + NEW + ending, database + ending)
        _sync(os.path.dirname(database))
    except (OSError, apsw.Error) as error:
        why, hint = str(error) or type(error).__name__, "free some space, or see the folder's owner and mode"
        raise RestoreError("putting back", f"{backup} ({checked.executions} executions)", why, hint) from error
    finally:
        os.close(lock)
    return database + label if moved else ""


def _prepare(backup: str, database: str) -> None:
    """The database and its journal under other names, whole and on the disk."""
    new = database + NEW
    for ending in ("", "-wal", "-shm", ".journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new + ending)
    shutil.copyfile(backup, new)
    store, journal = Store(new), Journal(new + ".journal")
    try:
        size = 0
        for records in _archive(store):
            size = journal.append(records)
        store.note("journal_size", size)
        store.checkpoint(truncate=True)
    finally:
        store.close()
        journal.close()
    owner = os.stat(os.path.dirname(database))
    for path in (new, new + ".journal", database + ".lock"):
        if os.geteuid() == 0:  # the daemon is to open it, which need not be root
            os.chown(path, owner.st_uid, owner.st_gid)
        os.chmod(path, 0o600)
    _sync(new)


def _archive(store: Store) -> Iterator[list[dict[str, Any]]]:
    """The journal's records, in portions: results that outlive their files, and decisions."""
    query = f"SELECT {COLUMNS} FROM execution_states WHERE deadline_at IS NULL AND change > ? ORDER BY change LIMIT ?"
    at = 0
    while rows := store.rows(query.replace("SELECT ", "SELECT change, ", 1), (at, BATCH)):
        at = rows[-1][0]
        yield [
            restore.result(row) for row in map(Execution._make, (r[1:] for r in rows)) if row.source_state != "present"
        ]
    decisions = [Decision._make(row) for row in store.rows("SELECT * FROM decisions ORDER BY at")]
    yield [restore.decision(made) for made in decisions]


def _move(path: str, label: str) -> bool:
    try:
        os.rename(path, path + label)
    except FileNotFoundError:
        return False
    return True


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
