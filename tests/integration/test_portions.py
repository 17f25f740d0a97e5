"""Of a pile, as much is taken at a time as is soon done: whoever decides meanwhile waits for no more than that."""

from __future__ import annotations

import pytest

from reevd import lookout, patrol
from reevd.bounds import Bounds, Pace
from reevd.clock import Clock
from reevd.engine import Engine
from reevd.readahead import ReadAhead
from tests.harness import leave, session
from tests.integration.conftest import Bench

MANY = 2500
HOUR = 3600


class SlowClock(Clock):
    """Whatever is done between two looks at it takes a second."""

    def now(self) -> int:
        self.base += 1_000_000_000
        return super().now()


def no_watch(*_: object) -> None:
    raise OSError("no events here: they would come as the kernel and a thread have them come")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at but what the test has looked at: no second process, no event, no further scan."""
    monkeypatch.setattr(ReadAhead, "room", lambda _ahead, _now: False)
    monkeypatch.setattr(lookout, "Watch", no_watch)


def portions(bench: Bench, clock: Clock, *, single: bool = False) -> list[int]:
    """How many executions of a pile were stored at a time. `single`: one came before, and has not come to rest yet."""
    bounds, pace = Bounds(settle_ns=HOUR * 10**12), Pace(rescan=HOUR * 1000, poll=HOUR * 1000)
    bench.engine = engine = Engine(str(bench.sessions), str(bench.database), bounds=bounds, pace=pace, clock=clock)
    bench.until(lambda: engine.ready, "ready")
    if single:
        leave(bench.sessions, "single", session("single"))
        engine.patrol.look("single")
        engine.step()
        assert engine.patrol.pending == 1
    names = [f"run-{number}" for number in range(MANY)]
    for name in names:
        leave(bench.sessions, name, session(name))
    sizes: list[int] = []
    engine.patrol.changed = lambda ids: sizes.append(len(ids))
    engine.patrol.agenda.add(names)
    bench.until(lambda: sum(sizes) >= MANY, "all are stored", seconds=60)
    return sizes


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
