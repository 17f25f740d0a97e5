"""What tells one state of a file from another, one at a time and many at once."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from reevd.files import Folder, fingerprint
from reevd.fingerprint import SIGN, Fingerprint, marks

NAME = "session_x.json"
STATUS = {"st_dev": 5, "st_ino": 6, "st_size": 7, "st_mtime_ns": 8, "st_ctime_ns": 9}


def test_many_at_once_have_the_marks_that_each_has_alone() -> None:
    odd = [
        {},
        {"st_ino": SIGN},
        {"st_mtime_ns": SIGN + 1},
        {"st_ino": 2 * SIGN - 1, "st_mtime_ns": -1},
        {"st_mtime_ns": -SIGN - 1},
    ]
    found = [SimpleNamespace(**{**STATUS, **part}) for part in odd]
    names = [NAME, "session_\udcff.json", "session_ä.json", NAME, NAME]
    assert marks(names, found) == [fingerprint(status).mark(name) for name, status in zip(names, found, strict=True)]
    assert len(set(marks(names, found))) == len(names)


@pytest.mark.parametrize("part", Fingerprint._fields)
def test_whatever_changes_changes_the_mark(part: str) -> None:
    before = fingerprint(SimpleNamespace(**STATUS))
    after = before._replace(**{part: getattr(before, part) + 1})
    assert len({before.mark(NAME), after.mark(NAME), before.mark("session_y.json")}) == 3


class Entry:
    """What the folder lists; `error` is what comes of a closer look."""

    def __init__(self, name: str, error: OSError | None, status: os.stat_result) -> None:
        self.name, self._error, self._status = name, error, status

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        assert not follow_symlinks
        if self._error:
            raise self._error
        return self._status


def test_an_entry_that_cannot_be_looked_at_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path.stat()
    entries = [
        Entry("a", None, status),
        Entry("gone", FileNotFoundError(), status),
        Entry("b", OSError(5, "x"), status),
        Entry("c", None, status),
    ]
    folder = Folder(str(tmp_path))
    try:
        monkeypatch.setattr(os, "scandir", lambda _descriptor: nullcontext(iter(entries)))
        ((names, found),) = folder.scan()
    finally:
        folder.close()
    assert names == ["a", "b", "c"]
    assert found == [fingerprint(status).mark("a"), 0, fingerprint(status).mark("c")]
