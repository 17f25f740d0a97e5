"""Of a pile, as much is taken at a time as is soon done: whoever decides meanwhile waits for no more than that."""

from __future__ import annotations

import pytest

from reevd import patrol
from reevd.clock import Clock
from reevd.engine import Engine
from reevd.readahead import ReadAhead
from tests.harness import leave, session
from tests.integration.conftest import Bench

MANY = 2500


class SlowClock(Clock):
    """Whatever is done between two looks at it takes a second."""

    def now(self) -> int:
        self.base += 1_000_000_000
        return super().now()


def portions(bench: Bench, clock: Clock, *, single: bool = False) -> list[int]:
    """How many executions of a pile were stored at a time. `single`: one came before, and is not at rest yet."""
    sizes: list[int] = []
    bench.engine = engine = Engine(str(bench.sessions), str(bench.database), clock=clock)
    if single:
        leave(bench.sessions, "single", session("single"))
        bench.until(lambda: bench.status("single") == "Completed" and engine.patrol.pending, "it is stored")
    for number in range(MANY):
        leave(bench.sessions, f"run-{number}", session(f"run-{number}"))
    engine.patrol.changed = lambda ids: sizes.append(len(ids))
    bench.until(lambda: sum(sizes) >= MANY, "all are stored", seconds=60)
    return sizes


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReadAhead, "room", lambda _ahead, _now: False)


@pytest.mark.parametrize("single", [False, True])
def test_they_grow_while_there_is_room(bench: Bench, monkeypatch: pytest.MonkeyPatch, *, single: bool) -> None:
    monkeypatch.setattr(patrol, "LONG", 1 << 60)  # however slow this machine is
    sizes = portions(bench, Clock(), single=single)
    assert sizes[:7] == [8, 16, 32, 64, 128, 256, 512]
    assert max(sizes) == patrol.BATCH


def test_they_shrink_where_little_takes_long(bench: Bench) -> None:
    *few, rest = portions(bench, SlowClock())
    assert set(few) == {8}
    assert rest < patrol.PILE, "what is no pile is taken at once"
