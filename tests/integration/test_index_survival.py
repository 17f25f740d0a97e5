"""1,000 executions through all their states, written as reevd writes: no index loses one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies.index_survival import EXECUTIONS, INDEXES, Case, judged, write


@pytest.mark.parametrize(("connections", "reopened"), [(1, False), (1, True), (2, False)])
def test_delete_and_insert_keeps_every_index_whole(tmp_path: Path, connections: int, reopened: bool) -> None:
    path = tmp_path / "study.db"
    errors, own = write(path, Case(("SQLite",) * connections, "DELETE+INSERT", reopened=reopened))
    found = judged(path)
    assert errors == []
    assert found == own
    assert found.integrity == ["ok"]
    assert found.statuses == {"Completed": EXECUTIONS}
    assert (found.terminal, found.terminal_by_index, found.rows) == (EXECUTIONS, EXECUTIONS, EXECUTIONS)
    assert found.indexed == dict.fromkeys(INDEXES, EXECUTIONS)
    assert set(found.indexes) >= set(INDEXES)
