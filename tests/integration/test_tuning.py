"""Other limits than before, told or found at a start: who has been silent since keeps no deadline of the old ones."""

from __future__ import annotations

import pytest

from reevd.derive import Limits
from tests.harness import leave, session
from tests.integration.conftest import Bench
from tests.integration.populated import rest

SHORT = Limits(silence=1, total=60)


@pytest.fixture
def silent(bench: Bench) -> Bench:
    """A run that says nothing any more, with five minutes to go."""
    bench.start()
    leave(bench.sessions, "run", session("run", end_time=None, final_result=None))
    bench.until(lambda: bench.status("run") == "Running", "it runs")
    rest(bench)
    return bench


def is_given_up(bench: Bench) -> None:
    bench.until(lambda: bench.status("run") == "Timeout", "it is given up")
    row = bench.row("run")
    assert row is not None
    assert row.reason == "no news for 1 s"


def test_shorter_limits_reach_who_is_silent_already(silent: Bench) -> None:
    assert silent.engine is not None
    silent.engine.tune(SHORT, silent.bounds, silent.pace)
    is_given_up(silent)


def test_shorter_limits_of_a_restart_reach_who_is_silent_already(silent: Bench) -> None:
    silent.close()
    silent.limits = SHORT
    silent.start()
    is_given_up(silent)
