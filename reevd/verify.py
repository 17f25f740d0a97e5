"""The user's own proof: every execution computed anew from its files and the journal, beside what is stored.

It reads the folder, the journal and the database, and writes none of them. Executions that change while it
looks are compared again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw

from reevd import restore
from reevd.bounds import DEFAULT_BOUNDS
from reevd.clock import Clock
from reevd.derive import DEFAULT_LIMITS
from reevd.errors import ReevdError
from reevd.files import Folder
from reevd.journal import Journal
from reevd.names import classify
from reevd.reader import Reader
from reevd.reconciler import Reconciler
from reevd.store import Store

BATCH = 500
TRIES = 4
PAUSE_SECONDS = 1.0
FIELDS = (
    "status",
    "score",
    "benchmark_id",
    "agent",
    "error_message",
    "result_data",
    "started_at",
    "ended_at",
    "tool_calls",
)
# An end that no file tells is the moment at which it was seen, which nobody can compute anew.
COLUMNS = ", ".join(FIELDS).replace("ended_at", "CASE WHEN ended_at = news_at THEN NULL ELSE ended_at END")
CALLS = "SELECT seq, tool_name, started_at, duration_ms, params, result, status, error_message FROM tool_calls"


class VerifyError(ReevdError):
    """The proof could not be made."""


class Difference(NamedTuple):
    """One field of one execution that the database does not have as the files say."""

    execution_id: str
    field: str
    stored: Any
    computed: Any


class Verdict(NamedTuple):
    """`executions`: those that the database or the files know. Names of files that are refused are none."""

    executions: int
    differences: list[Difference]


def verify(sessions: str, database: str) -> Verdict:
    """Raises VerifyError where folder, journal or database cannot be read."""
    try:
        with tempfile.TemporaryDirectory(prefix="reevd-verify-") as scratch:
            return _verify(sessions, database, scratch)
    except (OSError, apsw.Error) as error:
        raise VerifyError(
            "verifying", f"{database} against {sessions}", error, "run it as the daemon's own user, or root"
        ) from error


def _verify(sessions: str, database: str, scratch: str) -> Verdict:
    stored = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
    stored.set_busy_timeout(10_000)
    journal_copy = os.path.join(scratch, "journal")
    if os.path.exists(database + ".journal"):
        shutil.copyfile(database + ".journal", journal_copy)
    folder, journal, store = Folder(sessions), Journal(journal_copy), Store(os.path.join(scratch, "computed"))
    try:
        return _compare(folder, journal, store, stored)
    finally:
        folder.close()
        stored.close()
        store.close()
        journal.close()


def _compare(folder: Folder, journal: Journal, store: Store, stored: apsw.Connection) -> Verdict:
    restore.replay(store, journal, Clock().now())
    reader, reconciler = Reader(folder, DEFAULT_BOUNDS), Reconciler(store, journal, DEFAULT_LIMITS)
    waiting = sorted(_everything(folder, store, stored))
    differences = list[Difference]()
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)  # the daemon may be about to look at them
        differences = []
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            now = Clock().now()
            # A stamp in the future: what is read now counts, whether or not it has settled.
            reconciler.look(reader, batch, now, now * 1000 + 10**15, may_judge=False)
            for execution_id in batch:
                reader.forget(execution_id)
                differences.extend(_differences(execution_id, store.db, stored))
        waiting = sorted({difference.execution_id for difference in differences})
        if not waiting:
            break
    return Verdict(len(_known(store, stored)), differences)


def _known(store: Store, stored: apsw.Connection) -> set[str]:
    return {row[0] for db in (store.db, stored) for row in db.execute("SELECT execution_id FROM execution_states")}


def _everything(folder: Folder, store: Store, stored: apsw.Connection) -> set[str]:
    ids = _known(store, stored)
    ids.update(row[0] for row in store.db.execute("SELECT execution_id FROM decisions"))
    names = (classify(os.fsencode(name)) for part, _ in folder.scan() for name in part)
    return ids | {name.execution_id for name in names if name and name.execution_id}


def _differences(execution_id: str, computed: apsw.Connection, stored: apsw.Connection) -> Iterator[Difference]:
    (state, ours), (other, theirs) = (_fields(db, execution_id) for db in (stored, computed))
    if theirs is None and state == "gone":
        return  # it was seen while its files stood, had no result, and nothing is left to compare it with
    if ours is None or theirs is None:
        if ours is not theirs:
            yield Difference(execution_id, "execution", ours and "known", theirs and "known")
        return
    # Calls outlive their telemetry, and nothing is left to compare them with.
    kept = "gone" in (state, other) or (ours[-1] is None and theirs[-2] < ours[-2])
    for field, was, now in zip(FIELDS, ours, theirs, strict=False):
        if was != now and not (kept and field == "tool_calls"):
            yield Difference(execution_id, field, was, now)
    if not kept:
        calls = [
            db.execute(f"{CALLS} WHERE execution_id = ? ORDER BY seq", (execution_id,)).fetchall()
            for db in (stored, computed)
        ]
        if calls[0] != calls[1]:
            yield Difference(execution_id, "tool_calls", calls[0], calls[1])


def _fields(db: apsw.Connection, execution_id: str) -> tuple[str, tuple[Any, ...] | None]:
    query = f"SELECT source_state, {COLUMNS}, otel_file FROM execution_states WHERE execution_id = ?"
    row = db.execute(query, (execution_id,)).fetchone()
    return (row[0], row[1:]) if row else ("", None)
