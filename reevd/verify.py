"""The user's own proof: every execution computed anew from its files and the journal, beside what is stored.

It reads the folder, the journal and the database, and writes none of them. Executions that change while it
looks are compared again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apsw

from reevd import restore
from reevd.bounds import DEFAULT_BOUNDS, Bounds
from reevd.clock import Clock
from reevd.database import damage
from reevd.derive import DEFAULT_LIMITS
from reevd.errors import ReevdError
from reevd.files import Folder
from reevd.journal import Journal
from reevd.names import classify, files_of
from reevd.owners import user_ids
from reevd.reader import Reader
from reevd.reconciler import Reconciler
from reevd.store import Store

BATCH = 500
TRIES = 4
PAUSE_SECONDS = 1.0
# At one execution in a row: what is read in slices, even of the shortest lines, takes fewer.
MOST_LOOKS = 1_000
# An end that no file tells is the moment at which it was seen, which nobody can compute anew.
ENDED = "CASE WHEN ended_at = news_at THEN NULL ELSE ended_at END AS ended_at"
COLUMNS = f"""status, score, benchmark_id, agent, error_message, result_data, metadata, progress, reason, created_at,
started_at, {ENDED}, session_file, otel_file, tool_calls, source_state, deadline_at"""
UNCOMPARED = ("source_state", "deadline_at")  # the one is about the files, the other about what may be set
# What was told stays told, also where the file that told it is gone or cannot be read any longer.
TOLD_ONCE = ("benchmark_id", "agent", "metadata", "created_at", "started_at", "progress")
CALLS = "SELECT seq, tool_name, started_at, duration_ms, params, result, status, error_message FROM tool_calls"
TROUBLED = "SELECT 1 FROM problems WHERE execution_id = ? AND path <> ?"


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


def verify(sessions: str, database: str, writers: Sequence[str] = ()) -> Verdict:
    """writers: as in the daemon's settings. Raises VerifyError where folder, journal or database cannot be read."""
    try:
        with tempfile.TemporaryDirectory(prefix="reevd-verify-") as scratch:
            bounds = DEFAULT_BOUNDS._replace(writers=user_ids(writers, os.stat(database).st_uid))
            return _verify(sessions, database, scratch, bounds)
    except (OSError, apsw.Error, UnicodeDecodeError) as error:
        raise VerifyError(
            "verifying", f"{database} against {sessions}", error, "run it as the daemon's own user, or root"
        ) from error


def _verify(sessions: str, database: str, scratch: str, bounds: Bounds) -> Verdict:
    stored = apsw.Connection(database, flags=apsw.SQLITE_OPEN_READONLY)
    stored.set_busy_timeout(10_000)
    if wrong := damage(stored):
        stored.close()
        raise VerifyError("verifying", database, f"it is damaged: {wrong}", "restart reevd, which makes it anew")
    journal_copy = os.path.join(scratch, "journal")
    if os.path.exists(database + ".journal"):
        shutil.copyfile(database + ".journal", journal_copy)
    folder, journal, store = Folder(sessions), Journal(journal_copy), Store(os.path.join(scratch, "computed"))
    try:
        return _compare(Reader(folder, bounds), journal, store, stored)
    finally:
        folder.close()
        stored.close()
        store.close()
        journal.close()


def _compare(reader: Reader, journal: Journal, store: Store, stored: apsw.Connection) -> Verdict:
    restore.replay(store, journal, Clock().now())
    reconciler = Reconciler(store, journal, DEFAULT_LIMITS)
    waiting = sorted(_everything(reader.folder, store, stored))
    differences = list[Difference]()
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)  # the daemon may be about to look at them
        differences = []
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            _look(reconciler, reader, batch)
            for execution_id in batch:
                reader.forget(execution_id)
                differences.extend(_differences(execution_id, store.db, stored))
        waiting = sorted({difference.execution_id for difference in differences})
        if not waiting:
            break
    return Verdict(len(_known(store, stored)), differences)


def _look(reconciler: Reconciler, reader: Reader, batch: Sequence[str]) -> None:
    """Until each was read to its end, but for those that change all the while."""
    waiting, looks = batch, Counter[str]()
    while waiting:
        now = Clock().now()
        # A stamp in the future: what is read now counts, whether or not it has settled.
        outcome = reconciler.look(reader, waiting, now, now * 1000 + 10**15, may_judge=False)
        begun = [execution_id for execution_id, wait in outcome.again.items() if wait == 0]
        looks.update(begun)
        # These first: what has been read of them is held in memory.
        waiting = [*(execution_id for execution_id in begun if looks[execution_id] < MOST_LOOKS), *outcome.left]


def _known(store: Store, stored: apsw.Connection) -> set[str]:
    return {row[0] for db in (store.db, stored) for row in db.execute("SELECT execution_id FROM execution_states")}


def _everything(folder: Folder, store: Store, stored: apsw.Connection) -> set[str]:
    ids = _known(store, stored)
    ids.update(row[0] for row in store.db.execute("SELECT execution_id FROM decisions"))
    names = (classify(os.fsencode(name)) for part, _ in folder.scan() for name in part)
    return ids | {name.execution_id for name in names if name and name.execution_id}


def _differences(execution_id: str, computed: apsw.Connection, stored: apsw.Connection) -> Iterator[Difference]:
    ours, theirs = (_fields(db, execution_id) for db in (stored, computed))
    if theirs is None and ours and ours["source_state"] == "gone" and ours["result_data"] is None:
        return  # it was seen while its files stood, had no result, and nothing is left to compare it with
    if ours is None or theirs is None:
        if ours is not theirs:
            yield Difference(execution_id, "execution", ours and "known", theirs and "known")
        return
    unread = computed.execute(TROUBLED, (execution_id, files_of(execution_id)[0])).fetchone() is not None
    untold = _untold(ours, theirs, unread=unread)
    for field, was in ours.items():
        if was != theirs[field] and field not in untold:
            yield Difference(execution_id, field, was, theirs[field])
    if "tool_calls" not in untold:
        calls = [
            db.execute(f"{CALLS} WHERE execution_id = ? ORDER BY seq", (execution_id,)).fetchall()
            for db in (stored, computed)
        ]
        if calls[0] != calls[1]:
            yield Difference(execution_id, "tool_calls", calls[0], calls[1])


def _untold(ours: dict[str, Any], theirs: dict[str, Any], *, unread: bool) -> set[str]:
    """Fields of which nothing is left to compare them with. unread: whether telemetry cannot be read to its end."""
    untold = set(UNCOMPARED)
    running = theirs["deadline_at"] is not None
    if running:
        untold.add("reason")  # what keeps it from being read may change from one look to the next
    if running and (theirs["session_file"] is None or "cannot be read" in theirs["reason"]):
        untold.update(TOLD_ONCE)
    if theirs["started_at"] is None:  # no file says when: it is when it was first seen
        untold.update(("created_at", "started_at"))
    # Calls outlive their telemetry, and those of an end that is kept outlive what else may stand there by now.
    states = ours["source_state"], theirs["source_state"]
    fewer = theirs["tool_calls"] < ours["tool_calls"]
    if "gone" in states or (fewer and (unread or theirs["otel_file"] is None or "changed" in states)):
        untold.add("tool_calls")
    return untold


def _fields(db: apsw.Connection, execution_id: str) -> dict[str, Any] | None:
    cursor = db.execute(f"SELECT {COLUMNS} FROM execution_states WHERE execution_id = ?", (execution_id,))
    for row in cursor:
        return {name: value for (name, *_), value in zip(cursor.get_description(), row, strict=True)}
    return None
