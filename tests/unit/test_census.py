"""How many executions there are of each status, over a database that somebody else writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from reevd.api.census import CHEAP, OLDEST, SHARE, Census


class Clock:
    """Seconds; each look at it takes `step`, as counting would, and `meanwhile` happens then."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        self.now += self.step
        self.meanwhile()
        return self.now


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(tmp_path / "db"))
    db.pragma("journal_mode", "wal")
    db.execute("CREATE TABLE execution_states (status TEXT)")
    yield db
    db.close()


@pytest.fixture
def reader(tmp_path: Path, writer: apsw.Connection) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(tmp_path / "db"), flags=apsw.SQLITE_OPEN_READONLY)
    yield db
    db.close()


def add(db: apsw.Connection, *statuses: str) -> None:
    db.executemany("INSERT INTO execution_states VALUES (?)", [(status,) for status in statuses])


@pytest.mark.parametrize("step", [0.0, CHEAP * 0.9])
def test_what_costs_little_is_never_old(writer: apsw.Connection, reader: apsw.Connection, step: float) -> None:
    census = Census(reader, Clock(step))
    assert census.counts() == {}
    add(writer, "Running")
    assert census.counts() == {"Running": 1}
    add(writer, "Completed", "Running")
    assert census.counts() == {"Running": 2, "Completed": 1}
    writer.execute("DELETE FROM execution_states WHERE status = 'Running'")
    assert census.counts() == {"Completed": 1}


@pytest.mark.parametrize(("took", "pause"), [(0.1, 0.1 / SHARE), (3600.0, OLDEST)])
def test_what_takes_long_takes_its_share_of_the_time(
    writer: apsw.Connection, reader: apsw.Connection, took: float, pause: float
) -> None:
    clock = Clock(took)
    census = Census(reader, clock)
    add(writer, "Running")
    assert census.counts() == {"Running": 1}
    clock.step, began = 0.0, clock.now
    add(writer, "Running")
    clock.now = began + 0.9 * pause
    assert census.counts() == {"Running": 1}, "not yet"
    clock.now = began + 1.1 * pause
    assert census.counts() == {"Running": 2}, "but in the end, without another change"


def test_what_is_committed_while_it_counts_is_counted_the_next_time(
    writer: apsw.Connection, reader: apsw.Connection
) -> None:
    clock = Clock()
    census = Census(reader, clock)
    rows = iter([[], ["Running"]])  # when it begins, and when it has counted
    clock.meanwhile = lambda: add(writer, *next(rows, []))
    add(writer, "Completed")
    assert census.counts() == {"Completed": 1}
    assert census.counts() == {"Completed": 1, "Running": 1}


def test_nothing_is_counted_while_nothing_changes(writer: apsw.Connection, reader: apsw.Connection) -> None:
    census = Census(reader, Clock())
    add(writer, "Running")
    assert census.counts() == {"Running": 1}
    steps: list[int] = []
    reader.set_progress_handler(lambda: bool(steps.append(1)), 1)
    assert census.counts() == {"Running": 1}
    assert len(steps) < 10, "no more than the question whether something changed"
