"""Somebody sets the clock, a host sleeps or starts anew: no run ends for it, and none lives for ever."""

from __future__ import annotations

import time

import apsw
import pytest
from structlog.testing import capture_logs

from reevd import reader
from reevd.clock import Clock
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.store import Store
from reevd.times import SECOND, from_rfc3339
from tests.harness import files_of_at_most, leave, session
from tests.integration.conftest import Bench

DAY = 86_400
YEAR = 365 * DAY
STUB = {"end_time": None, "final_result": None}


class SetClock(Clock):
    """A clock that somebody can set by `ahead` seconds, on a host whose boot has a name."""

    ahead = 0
    boot_id = "first"

    def _wall_base(self) -> int:  # type: ignore[override]
        return Clock._wall_base() + self.ahead * 1_000_000_000

    def boot(self) -> str:  # type: ignore[override]
        return self.boot_id

    def stamp(self) -> int:
        return super().stamp() + self.ahead * 1_000_000_000


def start(bench: Bench, clock: Clock) -> Engine:
    engine = Engine(
        str(bench.sessions), str(bench.database), limits=bench.limits, bounds=bench.bounds, pace=bench.pace, clock=clock
    )
    bench.engine = engine
    bench.until(lambda: engine.ready, "ready")
    return engine


def seconds_left(bench: Bench, clock: Clock) -> float:
    row = bench.row("run")
    assert row is not None
    assert row.status == "Running"
    return ((from_rfc3339(row.deadline_at or "") or 0) - clock.now()) / SECOND


def waits_at_most(bench: Bench, clock: Clock, seconds: float) -> bool:
    """Whether it has ended, or will be given up within so many seconds."""
    row = bench.row("run")
    assert row is not None
    return row.terminal or (from_rfc3339(row.deadline_at or "") or 0) <= clock.now() + seconds * SECOND


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[SetClock]:
    monkeypatch.setattr(SetClock, "ahead", 0)
    monkeypatch.setattr(SetClock, "boot_id", "first")
    return SetClock


@pytest.mark.parametrize("jump", [DAY, -DAY, 10, -10])
def test_a_clock_that_is_set_moves_no_deadline(bench: Bench, clock: type[SetClock], jump: int) -> None:
    made = clock()
    engine = start(bench, made)
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    clock.ahead = jump
    before = made.base
    bench.until(lambda: made.base != before and engine.idle, "the jump is noticed")
    assert 295 < seconds_left(bench, made) <= 300
    leave(bench.sessions, "later", session("later"))
    bench.until(lambda: bench.status("later") == "Completed", "files are read as ever")


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_while_the_disk_is_full_moves_none_either(
    bench: Bench, clock: type[SetClock], jump: int
) -> None:
    made = clock()
    engine = start(bench, made)
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running" and not engine.health().pending, "it runs")
    with capture_logs(), files_of_at_most(0):
        clock.ahead = jump
        bench.until(lambda: engine.health().stale, "it cannot be stored")
    leave(bench.sessions, "later", session("later"))
    bench.until(lambda: bench.status("later") == "Completed", "files are read as ever")
    assert 290 < seconds_left(bench, made) <= 300


def test_deadlines_are_moved_once_however_often_that_is_tried(
    bench: Bench, clock: type[SetClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = clock()
    engine = start(bench, made)
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running" and not engine.health().pending, "it runs")
    real, failed = Store.set_meta, list[str]()

    def once(store: Store, key: str, value: int | str) -> None:
        if key == "clock_base" and not failed:
            failed.append(key)
            raise apsw.FullError("no room for the last of it")
        real(store, key, value)

    monkeypatch.setattr(Store, "set_meta", once)
    before, clock.ahead = made.base, DAY
    bench.until(lambda: failed and made.base != before and engine.idle, "the jump is noticed")
    assert 290 < seconds_left(bench, made) <= 300


def test_a_suspended_host_ends_no_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock goes on meanwhile, and so does the time since boot; nobody could have written anything."""
    made = Clock()
    engine = start(bench, made)
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    before, wall, boot = made.now(), time.time_ns, time.clock_gettime_ns

    def later(clock: int) -> int:
        return boot(clock) + (DAY * 1_000_000_000 if clock == time.CLOCK_BOOTTIME else 0)

    monkeypatch.setattr(time, "time_ns", lambda: wall() + DAY * 1_000_000_000)
    monkeypatch.setattr(time, "clock_gettime_ns", later)
    bench.until(lambda: made.now() - before > DAY * SECOND and engine.idle, "it is noticed")
    assert 295 < seconds_left(bench, made) <= 300


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_while_the_daemon_is_down_moves_none_either(
    bench: Bench, clock: type[SetClock], jump: int
) -> None:
    start(bench, clock())
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    bench.close()
    clock.ahead = jump
    made = clock()
    start(bench, made)
    assert 290 < seconds_left(bench, made) <= 300


def test_the_time_that_a_host_was_off_counts(bench: Bench, clock: type[SetClock]) -> None:
    start(bench, clock())
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    bench.close()
    clock.ahead, clock.boot_id = DAY, "second"
    start(bench, clock())
    bench.until(lambda: bench.status("run") == "Timeout", "a day without news is too long")


def test_a_runs_deadline_comes_though_the_clock_is_set_back_again_and_again(
    bench: Bench, clock: type[SetClock]
) -> None:
    bench.limits = Limits(silence=2, total=60)
    made = clock()
    start(bench, made)
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    for _ in range(2):
        before, clock.ahead = made.base, clock.ahead - 3_600
        bench.until(lambda base=before: made.base != base, "the jump is noticed")  # type: ignore[misc]
    bench.until(lambda: bench.status("run") == "Timeout", "it is given up")


def test_a_clock_that_was_years_ahead_before_the_boot_keeps_no_run_alive(bench: Bench, clock: type[SetClock]) -> None:
    bench.limits = Limits(silence=2, total=60)
    made = clock()
    engine = start(bench, made)
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    before, clock.ahead = made.base, 10 * YEAR
    bench.until(lambda: made.base != before and engine.idle, "the jump is noticed")
    bench.close()
    clock.ahead, clock.boot_id = 0, "second"
    made = clock()
    start(bench, made)
    assert waits_at_most(bench, made, 2)
    bench.until(lambda: bench.status("run") == "Timeout", "it is given up")


def test_a_clock_that_is_set_right_only_after_the_boot_keeps_no_run_alive(bench: Bench, clock: type[SetClock]) -> None:
    """As on a host whose clock has no battery, until it hears the time."""
    bench.limits = Limits(silence=2, total=60)
    start(bench, clock())
    leave(bench.sessions, "run", session("run", **STUB))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    bench.close()
    clock.ahead, clock.boot_id = -50 * YEAR, "second"
    made = clock()
    engine = start(bench, made)
    assert waits_at_most(bench, made, 2)
    before, clock.ahead = made.base, 0
    bench.until(lambda: made.base != before and engine.idle, "the jump is noticed")
    assert waits_at_most(bench, made, 2)
    bench.until(lambda: bench.status("run") == "Timeout", "it is given up")


def test_results_that_are_stamped_in_the_future_come_to_rest_however_many(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock was set back by an hour. More of them than are remembered otherwise."""
    monkeypatch.setattr(reader, "REMEMBERED", 4)
    for number in range(20):
        leave(bench.sessions, f"r{number}", session(f"r{number}"))
    clock = SetClock()
    clock.ahead = -3600
    clock.step()
    engine = start(bench, clock)
    bench.until(lambda: len(engine.store.marks()) == 20, "each reading counts")


def test_numbers_of_changes_that_a_power_cut_took_are_not_given_twice(bench: Bench, clock: type[SetClock]) -> None:
    """The newest changes are gone from the database, and who follows them has seen their numbers."""
    start(bench, clock())
    bench.close()
    before = bench.database.read_bytes()
    start(bench, clock())
    for name in ("a", "b"):
        leave(bench.sessions, name, session(name))
    bench.until(lambda: bench.status("a") == bench.status("b") == "Completed", "both are known")
    assert bench.engine is not None
    seen = bench.engine.store.change
    bench.close()
    bench.database.write_bytes(before)
    clock.boot_id = "second"
    start(bench, clock())
    bench.until(lambda: bench.status("a") == bench.status("b") == "Completed", "both are known again")
    ((lowest,),) = bench.engine.store.rows("SELECT min(change) FROM execution_states")
    assert lowest > seen
    bench.close()
    clock.boot_id = "second"
    start(bench, clock())
    assert bench.engine.store.change < lowest + 1_000, "within a boot they go on"
