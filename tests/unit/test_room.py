"""What is short is told before anything fails."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from reevd import room

MIB = 1 << 20


def disk(*, size: int, free: int, inodes: int = 10) -> SimpleNamespace:
    return SimpleNamespace(f_frsize=4096, f_blocks=size // 4096, f_bavail=free // 4096, f_files=10, f_favail=inodes)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (disk(size=100 << 30, free=201 * MIB), ""),
        (disk(size=100 << 30, free=199 * MIB), "only 199 MiB are free"),
        (disk(size=64 * MIB, free=32 * MIB), ""),
        (disk(size=64 * MIB, free=2 * MIB), "only 2 MiB are free"),
        (disk(size=100 << 30, free=1 << 30, inodes=0), "no inode is free"),
    ],
)
def test_a_disk_that_fills_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: SimpleNamespace, words: str
) -> None:
    monkeypatch.setattr(room.os, "statvfs", lambda _path: state)
    places = (str(tmp_path), str(tmp_path))
    found = room.shortages(places, 0)
    assert [words in text and str(tmp_path) in text for text in found] == [True] * bool(words)


def test_a_log_that_nobody_gives_back_is_told(tmp_path: Path) -> None:
    assert room.shortages((), 400 * MIB) == []
    (found,) = room.shortages((), 600 * MIB)
    assert "600 MiB" in found
    with pytest.raises(FileNotFoundError):
        room.shortages((os.fspath(tmp_path / "none"),), 0)
