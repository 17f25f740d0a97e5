"""What several tests of the runner need."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from runner.stop import SIGNALS, Stop


@pytest.fixture
def stop() -> Iterator[Stop]:
    """The signals are this process's own: they are as before afterwards."""
    before = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    yield Stop()
    for number, handler in before.items():
        signal.signal(number, handler)
