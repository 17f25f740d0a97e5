"""What a database is opened with: a damaged one moved aside, the journal replayed, deadlines on the clock of now."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import structlog

from reevd.change import Calls, Change
from reevd.clock import TOLERATED, Clock
from reevd.forget import forget
from reevd.journal import Journal
from reevd.model import Decision, Execution
from reevd.names import files_of
from reevd.record import JSON_TEXT
from reevd.session_file import dumps
from reevd.store import Store
from reevd.times import SECOND, rfc3339

BATCH = 1_000

log = structlog.get_logger("reevd.restore")


def move_aside(path: str, now: int, *, log_alone: bool = False) -> None:
    """Renames the database and its log: evidence for whoever looks for the cause, never overwritten."""
    label = rfc3339(now).replace(":", "")
    for ending in ("-wal", "-shm") if log_alone else ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ending, f"{path}.damaged-{label}{ending}")
    log.warning("database moved aside", to=f"{path}.damaged-{label}")


def align(store: Store, clock: Clock) -> None:
    """Where the clock was set or the host suspended since it was last noted, what has not ended keeps its time."""
    boot, base = clock.boot(), clock.base
    noted = store.meta("clock_base")
    jump = 0
    if store.meta("clock_boot") == boot and isinstance(noted, int):
        jump = (base - noted) // 1000
        if abs(jump) <= TOLERATED:
            return
    with store.transaction():
        count = store.shift(jump) if jump else 0
        store.set_meta("clock_boot", boot)
        store.set_meta("clock_base", base)
    if jump:
        log.warning("the clock was set, or the host was suspended", seconds=jump / SECOND, deadlines_moved=count)


def replay(store: Store, journal: Journal, now: int) -> int:
    """Stores the records that the database has not seen. Returns how many there were.

    A result comes back as `gone`; the scan that follows finds its file again, where there is one.
    """
    stored = store.meta("journal_size")
    offset = stored if isinstance(stored, int) else 0
    if offset > journal.size:
        journal.spoil()  # it was synced before that was noted
        offset = 0
    count = 0
    batch: dict[str, Change] = {}
    for record in journal.replay(offset) if offset < journal.size else ():
        count += 1
        if "forgotten" in record:
            _store(store, batch, now)
            batch.clear()
            forget(store, record["forgotten"])
            continue
        _collect(record, batch)
        if len(batch) >= BATCH:
            _store(store, batch, now)
            batch.clear()
    if journal.unreadable:
        journal.spoil()
    if count:
        _store(store, batch, now)
        with store.transaction():
            store.set_meta("journal_size", journal.known)
        log.info("journal replayed", records=count, unreadable=journal.unreadable)
    return count


def _collect(record: dict[str, Any], batch: dict[str, Change]) -> None:
    if "decision" in record:
        made = Decision(**record["decision"])
        change = batch.get(made.execution_id) or Change(made.execution_id)
        batch[made.execution_id] = change._replace(decisions=(*change.decisions, made))
    else:
        fields = record["result"]
        texts = {name: dumps(fields[name]) for name in JSON_TEXT if fields[name] is not None}
        # Its calls are not in the journal: the telemetry brings them back, where it still stands.
        lost = {"session_file": None, "otel_file": None, "source_state": "gone", "tool_calls": 0}
        row = Execution(**{**fields, **texts, **lost})
        change = batch.get(row.execution_id) or Change(row.execution_id)
        batch[row.execution_id] = change._replace(execution=row)


def _store(store: Store, batch: dict[str, Change], now: int) -> None:
    standing = store.known(list(batch)).executions
    store.reconcile([_beside(standing.get(c.execution_id), c) for c in batch.values()], rfc3339(now))


def _beside(row: Execution | None, change: Change) -> Change:
    """A row that stands gives way to a record that says more, or the same later; then its files are read again."""
    if row is None or change.execution is None:
        return change
    if _weight(change.execution) <= _weight(row):
        return change._replace(execution=None)
    return change._replace(calls=Calls(0, ()), gone=files_of(row.execution_id))


def _weight(row: Execution) -> tuple[bool, str]:
    return row.result_data is not None, row.updated_at
