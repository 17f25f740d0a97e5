"""A module is loaded beside the work, and leaves nothing behind but itself."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reevd.loading import TURN, Loading
from tests.harness import wait_until

GATE = threading.Event()
SLOW = f"import sys\nfrom {__name__} import GATE\nassert GATE.wait(15)\nturn = sys.getswitchinterval()\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a module that is loaded once the gate is open, or fails to be."""
    name = "loaded_by_a_test"
    (tmp_path / f"{name}.py").write_text(SLOW + request.param)
    monkeypatch.syspath_prepend(tmp_path)
    GATE.clear()
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("module", ["", "raise ImportError('none')"], indirect=True)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_begins_it_goes_on_meanwhile(module: str) -> None:
    before, loading = sys.getswitchinterval(), Loading(module)
    assert not loading.done, "it has not begun"
    loading.begin()
    loading.begin()
    assert not loading.done, "it is under way"
    GATE.set()
    wait_until(lambda: loading.done, "it is loaded, or failed")
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize("module", [""], indirect=True)
def test_whoever_works_hardly_waits_for_it(module: str) -> None:
    loading = Loading(module)
    loading.begin()
    GATE.set()
    wait_until(lambda: loading.done, "it is loaded")
    assert sys.modules[module].turn == pytest.approx(TURN)
