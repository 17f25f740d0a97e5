"""Whose turn it is: news before second looks, also where these have begun, and second looks all the same."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from reevd.bounds import Bounds
from reevd.files import Folder, OpenFile
from tests.harness import leave, session
from tests.integration.conftest import Bench

OLD = [f"old-{number}" for number in range(8)]


@pytest.fixture
def opened(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Session files in the order in which they are opened. Eight executions wait for their second look."""
    names = list[str]()
    real = Folder.open

    def spied(folder: Folder, name: str, writers: Collection[int] = ()) -> OpenFile | None:
        if name.startswith("session_"):
            names.append(name.removeprefix("session_").removesuffix(".json"))
        return real(folder, name, writers)

    bench.bounds = Bounds(settle_ns=400_000_000)  # nobody is so slow that the first look counts
    bench.start()
    for execution_id in OLD:
        leave(bench.sessions, execution_id, session(execution_id))
    bench.until(lambda: all(map(bench.row, OLD)), "all are stored")
    monkeypatch.setattr(Folder, "open", spied)
    return names


def unsettled(bench: Bench) -> int:
    """How many of the eight are still to be read again."""
    assert bench.engine is not None
    return int(bench.engine.store.rows("SELECT count(*) FROM files WHERE mark IS NULL AND name LIKE '%_old-%'")[0][0])


def when_one_is_read(monkeypatch: pytest.MonkeyPatch, do: Callable[[], None]) -> None:
    """Calls `do` at each reading of one of the eight."""
    real = OpenFile.read

    def spied(file: OpenFile, offset: int, length: int) -> bytes:
        content = real(file, offset, length)
        if b'"old-' in content:
            do()
        return content

    monkeypatch.setattr(OpenFile, "read", spied)


def test_news_that_come_while_second_looks_are_taken_go_first(
    bench: Bench, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list[str]()

    def news() -> None:
        if not left:
            left.append("new")
            leave(bench.sessions, "new", session("new"))

    when_one_is_read(monkeypatch, news)
    bench.until(lambda: left and not unsettled(bench), "all had their second look")
    assert opened[:2] == ["old-0", "new"]
    assert set(opened[2:]) >= set(OLD), "who was read before somebody more urgent came is read again"


def test_second_looks_are_taken_however_much_news_comes(
    bench: Bench, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def news() -> None:
        leave(bench.sessions, f"new-{len(opened)}", session(f"new-{len(opened)}"))

    when_one_is_read(monkeypatch, news)
    bench.until(lambda: not unsettled(bench), "all had their second look")
