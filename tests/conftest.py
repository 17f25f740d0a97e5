"""For all tests: nothing leaves this machine, whatever a case may ask for."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.harness import hide_rich

# Nothing here finds rich, which the tests' own packages bring: structlog would load it, and draw each failure with it.
sys.modules["rich"] = None  # type: ignore[assignment]

for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # a shell does so to what it starts behind itself
        signal.signal(number, usual)

NOBODY = "http://127.0.0.1:9"
SERVICES = ("JUPITER_API_URL", "ZAI_API_URL", "GLM_CODING_API_URL", "REEV_LOCAL_URL")


@pytest.fixture(autouse=True, scope="session")
def _as_installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Processes that are started find no rich either, as where reevd is installed."""
    hidden = tmp_path_factory.mktemp("hidden")
    hide_rich(hidden)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(hidden), prepend=os.pathsep)
        yield


@pytest.fixture(autouse=True)
def _stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERVICES:
        monkeypatch.setenv(name, NOBODY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take longest go first: at the end, they would keep one core busy and leave the others idle."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_collection_finish() -> None:
    """The collector need not look at thousands of tests, again and again."""
    gc.freeze()
