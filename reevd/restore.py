"""What a database is opened with: a damaged one moved aside, the journal replayed, deadlines on the clock of now."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import structlog

from reevd.change import Calls, Change
from reevd.clock import TOLERATED, Clock
from reevd.database import UNFIT
from reevd.forget import forget
from reevd.journal import Journal
from reevd.model import Decision, Execution
from reevd.names import files_of
from reevd.record import JSON_TEXT, ids_of
from reevd.session_file import dumps
from reevd.statements import CHANGED_SINCE
from reevd.store import Store
from reevd.times import SECOND, from_rfc3339, rfc3339

BATCH = 1_000
OF_FILES = ("session_file", "otel_file", "source_state", "tool_calls")  # of a row; no record tells them
LOST_CHANGES = 1 << 32  # more than there can be between two boots

log = structlog.get_logger("reevd.restore")


def move_aside(path: str, now: int, *, log_alone: bool = False) -> None:
    """Renames the database and its log: evidence for whoever looks for the cause, never overwritten."""
    label = rfc3339(now).replace(":", "")
    for ending in ("-wal", "-shm") if log_alone else ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(path + ending, f"{path}.damaged-{label}{ending}")
    log.warning("database moved aside", to=f"{path}.damaged-{label}")


def renumber(store: Store, clock: Clock) -> None:
    """A power cut takes the newest changes, of which readers have seen the numbers: none is given twice.

    To be called before anything else is stored, and before `align` notes the boot.
    """
    if store.meta("clock_boot") not in (None, clock.boot()):
        store.change += LOST_CHANGES
        store.note("change", store.change, durably=True)


def align(store: Store, clock: Clock) -> None:
    """Where the clock was set or the host suspended since it was last noted, what has not ended keeps its time.

    In another boot nobody knows by how much it was set. But nothing has its last news after now: where a clock was
    wrong before the boot or is wrong after it, what has not ended would wait for years.
    """
    boot, base = clock.boot(), clock.base
    noted = store.meta("clock_base")
    jump = 0
    if store.meta("clock_boot") == boot and isinstance(noted, int):
        jump = (base - noted) // 1000
        if abs(jump) <= TOLERATED:
            return
    now = clock.now()
    with store.transaction():
        moved = [row for row in (_moved(row, jump, now) for row in store.under_way()) if row]
        store.replace_executions(moved)
        store.set_meta("clock_boot", boot)
        store.set_meta("clock_base", base)
    if jump or moved:
        log.warning("the clock was set, or the host was suspended", seconds=jump / SECOND, deadlines_moved=len(moved))


def _moved(row: Execution, jump: int, now: int) -> Execution | None:
    """The row by that much later, its news not after now; None where it stays."""
    began, news, deadline = (from_rfc3339(at or "") or 0 for at in (row.began_at, row.news_at, row.deadline_at))
    by = min(jump, now - news)
    if not by:
        return None
    return row._replace(began_at=rfc3339(began + by), news_at=rfc3339(news + by), deadline_at=rfc3339(deadline + by))


def replay(store: Store, journal: Journal, now: int, since: int | None = None) -> int:
    """Stores the records that the database has not seen. Returns how many there were.

    A result comes back as `gone`; the scan that follows finds its file again, where there is one.
    since: those from this offset on instead, while the files are followed: what rows say of these stays
    """
    stored = store.meta("journal_size")
    offset = since if since is not None else stored if isinstance(stored, int) else 0
    journal.unreadable = 0
    if since is None and offset > journal.size:
        journal.spoil()  # it was synced before that was noted
        offset = 0
    whole = since is None and not offset
    # All of it over rows that stand; those of a replay that was cut short are none. A part that the database has not
    # seen is newer than all of its rows, whatever the clock said.
    count, first = 0, store.change if whole and isinstance(stored, int) else 0
    # What was removed, and came back since, must not be removed once more.
    removed = _removals(journal) if first else {}
    batch: dict[str, Change] = {}

    def flush() -> None:
        _store(store, batch, now, first, live=since is not None)
        batch.clear()

    for record in journal.replay(offset) if offset < journal.size else ():
        count += 1
        if "forgotten" in record:
            if not removed:
                flush()
                forget(store, record["forgotten"])
            continue
        if count > removed.get(ids_of(record)[0], 0):
            _collect(record, batch)
        if len(batch) >= BATCH:
            flush()
    if journal.unreadable:
        journal.spoil()
    if count:
        flush()
        with store.transaction():
            store.set_meta("journal_size", journal.known)
        log.info("journal replayed", records=count, unreadable=journal.unreadable)
    return count


def _removals(journal: Journal) -> dict[str, int]:
    """Executions that were removed, with the number of the last record that says so, from 1."""
    removed = {}
    for number, record in enumerate(journal.replay(0), 1):
        removed.update(dict.fromkeys(record.get("forgotten", ()), number))
    journal.unreadable = 0
    return removed


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
        held = change.execution
        if held is None or held.result_data is None or row.result_data is not None:
            batch[row.execution_id] = change._replace(execution=row)


def _store(store: Store, batch: dict[str, Change], now: int, first: int, *, live: bool) -> None:
    """first: the newest change before all of this."""
    standing, brought = store.known(list(batch)).executions, store.rows(CHANGED_SINCE, (first, dumps(list(batch))))
    changes = [_beside(standing.get(i), change, later=(i,) in brought, live=live) for i, change in batch.items()]
    try:
        store.reconcile(changes, rfc3339(now))
    except UNFIT as error:
        if len(batch) > 1:
            for execution_id, change in batch.items():
                _store(store, {execution_id: change}, now, first, live=live)
        else:
            log.error("what the journal says cannot be stored", executions=list(batch), exc_info=error)


def _beside(row: Execution | None, change: Change, *, later: bool, live: bool) -> Change:
    """A row that stands gives way to a record that says more, or the same later; then its files are read again.

    later: the row came from the journal too, from what stands before this
    """
    found = change.execution
    if row is None or found is None:
        return change
    beside = found._replace(**{name: getattr(row, name) for name in OF_FILES})
    newer = later or found.updated_at > row.updated_at
    if beside == row or (found.result_data is not None, newer) <= (row.result_data is not None, False):
        return change._replace(execution=None)
    if live:
        return change._replace(execution=beside)
    return change._replace(calls=Calls(0, ()), gone=files_of(row.execution_id))
