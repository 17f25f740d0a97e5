"""1,000 executions through all their states, written as reevd writes: no index loses one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies.index_survival import EXECUTIONS, INDEXES, SHAPES, WAYS, run, sqlite


@pytest.mark.parametrize("shape", SHAPES)
def test_delete_and_insert_keeps_every_index_whole(tmp_path: Path, shape: str) -> None:
    (way,) = (way for way in WAYS if way.name == "DELETE+INSERT")
    found = run(way, sqlite, tmp_path / "study.db", shape)
    assert (found.terminal, found.indexed, found.integrity, found.errors) == (EXECUTIONS, EXECUTIONS, "ok", 0)
    assert set(found.indexes) >= set(INDEXES)
