"""Opening the database whatever state it is in: damaged ones are moved aside and made anew from the journal."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import apsw
import structlog

from reevd.journal import Journal
from reevd.model import Decision, Execution
from reevd.store import Change, Store
from reevd.times import rfc3339

BATCH = 1_000

log = structlog.get_logger("reevd.restore")


def open_store(path: str, now: int) -> Store:
    """The store at `path`; a damaged one is moved aside. Raises SchemaError where it is newer than this reevd."""
    try:
        return Store(path)
    except (apsw.CorruptError, apsw.NotADBError) as error:
        log.error("database is damaged", database=path, error=str(error))
        move_aside(path, now)
        return Store(path)


def move_aside(path: str, now: int) -> None:
    """Renames the database and its log: evidence for whoever looks for the cause, never overwritten."""
    label = rfc3339(now).replace(":", "")
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ending, f"{path}.damaged-{label}{ending}")
    log.warning("database moved aside", to=f"{path}.damaged-{label}")


def decision(made: Decision) -> dict[str, Any]:
    """The journal's record of a decision."""
    return {"decision": made._asdict()}


def result(row: Execution) -> dict[str, Any]:
    """The journal's record of a finished execution."""
    return {"result": row._asdict()}


def replay(store: Store, journal: Journal, now: int) -> int:
    """Stores the records that the database has not seen. Returns how many there were.

    A result comes back as `gone`; the scan that follows finds its file again, where there is one.
    """
    stored = store.meta("journal_size")
    offset = stored if isinstance(stored, int) and stored <= journal.size else 0
    count = 0
    batch: dict[str, Change] = {}
    for record in journal.replay(offset) if offset < journal.size else ():
        count += 1
        change = _change(record, batch, store)
        batch[change.execution_id] = change
        if len(batch) >= BATCH:
            store.reconcile(list(batch.values()), rfc3339(now))
            batch.clear()
    if count:
        store.reconcile(list(batch.values()), rfc3339(now), journal.size)
        log.info("journal replayed", records=count, unreadable=journal.unreadable)
    return count


def _change(record: dict[str, Any], batch: dict[str, Change], store: Store) -> Change:
    if "decision" in record:
        made = Decision(**record["decision"])
        change = batch.get(made.execution_id) or Change(made.execution_id)
        return change._replace(decisions=(*change.decisions, made))
    row = Execution(**record["result"])
    change = batch.get(row.execution_id) or Change(row.execution_id)
    if store.execution(row.execution_id) is None:
        return change._replace(execution=row._replace(source_state="gone"))
    return change
