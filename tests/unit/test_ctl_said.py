"""What `reevctl` prints of answers that are written here, and what it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reevd.ctl.main import main
from tests.canned import canned

Capture = pytest.CaptureFixture[str]
API = "/api/v1"


def test_a_refusal_that_came_too_late_says_that_it_may_still_be_done(tmp_path: Path, capsys: Capture) -> None:
    refusal: tuple[int, Any] = (503, {"message": "the engine did not answer 'run' within 30 s"})
    with canned(tmp_path, {f"POST {API}/benchmarks/b/run": refusal, f"POST {API}/sync": refusal}) as daemon:
        assert main(["--socket", daemon.socket, "run", "b", "--id", "mine"]) == 1
        hint = "Try: it may still be done: see `{}` before you ask again\n"
        assert capsys.readouterr().err.endswith(hint.format("reevctl show mine"))
        assert main(["--socket", daemon.socket, "sync"]) == 1
        assert capsys.readouterr().err.endswith(hint.format("reevctl status"))
