"""Forgetting executions: everything that the database knows of them, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from reevd.names import files_of
from reevd.store import Store

OF_EXECUTION = ("execution_states", "tool_calls", "decisions", "problems")


def forget(store: Store, execution_ids: Sequence[str], journal_size: int | None = None) -> None:
    """journal_size: up to where the database then knows the journal. Raises apsw.Error."""
    keys = [(execution_id,) for execution_id in execution_ids]
    with store.transaction():
        for table in OF_EXECUTION:
            store.db.executemany(f"DELETE FROM {table} WHERE execution_id = ?", keys)
        names = [(name,) for execution_id in execution_ids for name in files_of(execution_id)]
        store.db.executemany("DELETE FROM files WHERE name = ?", names)
        store.set_meta("change", store.change)
        if journal_size is not None:
            store.set_meta("journal_size", journal_size)
