"""Records of the journal, and how they come back into a database that does not have them."""

from __future__ import annotations

from typing import Any

import structlog

from reevd.journal import Journal
from reevd.model import Decision, Execution
from reevd.store import Change, Store
from reevd.times import rfc3339

BATCH = 1_000

log = structlog.get_logger("reevd.restore")


def decision(made: Decision) -> dict[str, Any]:
    return {"decision": made._asdict()}


def result(row: Execution) -> dict[str, Any]:
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
            store.reconcile(list(batch.values()), rfc3339(now), journal.size)
            batch.clear()
    if count:
        store.reconcile(list(batch.values()), rfc3339(now), journal.size)
        with store.transaction():
            store.set_meta("journal_size", journal.size)
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
