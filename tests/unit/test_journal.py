"""The journal after whatever may befall a file that is appended to: whole records or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from reevd import journal
from reevd.journal import Journal

RECORDS: list[dict[str, Any]] = [{"decision": {"n": n, "text": "é\n" * n}} for n in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = Journal(str(tmp_path / "journal"))
    ends = [made.append([record]) for record in RECORDS]
    made.close()
    assert ends == sorted(set(ends))
    return tmp_path / "journal"


def records(path: Path, offset: int = 0) -> list[dict[str, Any]]:
    opened = Journal(str(path))
    try:
        return list(opened.replay(offset))
    finally:
        opened.close()


def test_every_torn_end_costs_only_the_torn_record(path: Path) -> None:
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = sum(end <= size for end in ends)
        assert records(path) == RECORDS[:kept]
        opened = Journal(str(path))
        opened.append([{"decision": "after"}])
        assert list(opened.replay(0)) == [*RECORDS[:kept], {"decision": "after"}]
        opened.close()


def test_every_flipped_byte_costs_one_record_at_most_two(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 1
        path.write_bytes(broken)
        found = records(path)
        # A newline that is none any more joins two records, and one that became one parts one.
        assert len(found) >= len(RECORDS) - 2
        assert all(record in RECORDS for record in found)


def test_replay_begins_where_it_is_told_to(path: Path) -> None:
    opened = Journal(str(path))
    middle = opened.size
    opened.append([{"decision": "new"}])
    assert list(opened.replay(middle)) == [{"decision": "new"}]
    opened.close()


@pytest.mark.parametrize("call", ["write", "fdatasync"])
def test_an_append_that_fails_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    opened = Journal(str(path))
    size = opened.size
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal.os, call, half if call == "write" else fail)
    with pytest.raises(OSError, match=r"No space|Input"):
        opened.append([{"decision": "lost"}])
    monkeypatch.undo()
    assert opened.size == size
    opened.append([{"decision": "kept"}])
    assert list(opened.replay(0)) == [*RECORDS, {"decision": "kept"}]
    opened.close()
