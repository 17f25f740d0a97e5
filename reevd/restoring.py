"""`reevd restore`: a backup takes the place of the database, which is moved aside and never overwritten.

Killed at any moment, all is as it was, or the next start of reevd ends it. The journal is made anew from the backup:
what no file of the sessions folder says stands in both. The next start scans the folder, so that the files that are
there have the last word.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from itertools import islice
from typing import NamedTuple

import apsw

from reevd.clock import Clock
from reevd.database import damage
from reevd.errors import ReevdError
from reevd.journal import Journal
from reevd.lock import hold
from reevd.schema import VERSION
from reevd.store import Store
from reevd.times import rfc3339
from reevd.transcript import transcript

BATCH = 500
NEW = ".restoring"
DECIDED = ".restored"
"""A link that stands from the moment that all of the new is on the disk until it is in its place.

It points to what the old database is called from then on.
"""
HOST_DATABASE = "/var/lib/reevd/reevd.sqlite3"


class RestoreError(ReevdError):
    """The backup could not be put back; nothing has changed, or the next start ends it."""


class Checked(NamedTuple):
    schema: int
    executions: int


def check(path: str) -> Checked:
    """Opens a backup and reads all of it. Raises RestoreError where it is none, or damaged."""
    doing = "checking the backup"
    try:
        with _opened(path) as db:
            wrong = damage(db)
            schema: int = db.pragma("user_version")
            if wrong or not schema:
                why = wrong or "it is a database, and none of reevd's"
                raise RestoreError(doing, path, why, "take another one")
            if schema > VERSION:
                why = f"its schema is version {schema}, and this reevd knows versions up to {VERSION}"
                raise RestoreError(doing, path, why, "restore it with the reevd that made it, or a newer one")
            return Checked(schema, db.execute("SELECT count(*) FROM execution_states").get)
    except apsw.Error as error:
        raise RestoreError(doing, path, error, "see that it is a file of `reevctl backup`, whole") from error


def _opened(backup: str) -> contextlib.closing[apsw.Connection]:
    return contextlib.closing(apsw.Connection(backup, flags=apsw.SQLITE_OPEN_READONLY))


def place(database: str, *, named: bool) -> str:
    """Where to put it: where it is said, else at the usual place, else at the host's. Raises RestoreError for neither.

    The daemon of a host gets its place from systemd; nobody says it to a command.
    """
    if named or os.path.isdir(os.path.dirname(database) or "."):
        return database
    if os.path.isdir(os.path.dirname(HOST_DATABASE)):
        return HOST_DATABASE
    why = f"no daemon ever ran here, nor as this host's ({os.path.dirname(HOST_DATABASE)} is not there either)"
    raise RestoreError("restoring to", database, why, "name the place with --database FILE")


def put_back(backup: str, database: str) -> str:
    """Returns under which name the old database stands now, empty where there was none.

    Raises RestoreError, and BusyError while a daemon uses the database.
    """
    checked = check(backup)
    try:
        os.makedirs(os.path.dirname(database) or ".", mode=0o750, exist_ok=True)
        database = os.path.realpath(database)
        lock = hold(database + ".lock")
        try:
            _finish(database)
            _prepare(backup, database)
            os.symlink(f"{os.path.basename(database)}.replaced-{_now()}", database + DECIDED)
            return _finish(database)
        finally:
            os.close(lock)
    except (OSError, apsw.Error) as error:
        why, hint = str(error) or type(error).__name__, "free some space, or see the folder's owner and mode"
        raise RestoreError("putting back", f"{backup} ({checked.executions} executions)", why, hint) from error


def finish(database: str) -> None:
    """Ends what a restore began that was killed halfway; before the database is opened.

    Raises RestoreError, and BusyError while another process uses the database.
    """
    database = os.path.realpath(database)
    if not os.path.islink(database + DECIDED):
        return
    lock = hold(database + ".lock")
    try:
        _finish(database)
    except OSError as error:
        raise RestoreError("ending the restore of", database, error, "see its folder's owner and mode") from error
    finally:
        os.close(lock)


def _finish(database: str) -> str:
    """Under which name the old database stands now, if any. Each step may be the last one, and is not done twice.

    What stands under its new name still was not put in its place: then the old one may stand there.
    """
    try:
        name = os.readlink(database + DECIDED)
    except FileNotFoundError:
        return ""
    aside = os.path.join(os.path.dirname(database), os.path.basename(name))
    _sync(os.path.dirname(database))
    # The old log goes before its database, and the new database comes last: none ever meets the other's.
    if os.path.exists(database + NEW):
        for ending in ("-wal", "-shm"):
            _move(database + ending, aside + ending)
    for ending in (".journal", ""):
        if os.path.exists(database + NEW + ending):
            _move(database + ending, aside + ending)
            os.rename(database + NEW + ending, database + ending)
    _sync(os.path.dirname(database))
    os.unlink(database + DECIDED)
    _sync(os.path.dirname(database))
    return aside if os.path.exists(aside) else ""


def _now() -> str:
    return rfc3339(Clock().now()).replace(":", "")


def _prepare(backup: str, database: str) -> None:
    """The database and its journal under other names, whole and on the disk; where that fails, nothing."""
    new = database + NEW
    _discard(new)
    try:
        _make(backup, new)
        owner = os.stat(os.path.dirname(database))
        for path in (new, new + ".journal", database + ".lock"):
            if os.geteuid() == 0:  # the daemon is to open it, which need not be root
                os.chown(path, owner.st_uid, owner.st_gid)
            os.chmod(path, 0o600)
        for path in (new, new + ".journal", os.path.dirname(database)):
            _sync(path)
    except BaseException:
        _discard(new)
        raise


def _discard(new: str) -> None:
    for ending in ("", "-wal", "-shm", ".journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new + ending)


def _make(backup: str, new: str) -> None:
    # By SQLite, and not as a file: of a database that was moved aside, part may stand in the log beside it.
    with _opened(backup) as db:
        db.execute("VACUUM INTO ?", (new,))
    store, journal = Store(new), Journal(new + ".journal")
    try:
        with contextlib.closing(transcript(store)) as records:
            while portion := [each for _, each in islice(records, BATCH)]:
                journal.append(portion)
        store.note("journal_size", journal.size)
        # Its changes have numbers that others got since: who follows by them has to begin anew.
        store.note("birth", secrets.token_hex(8))
        store.checkpoint(truncate=True)
    finally:
        store.close()
        journal.close()


def _move(path: str, to: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, to)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
