"""How long a person waits for `reevctl status`, beside a Python that does nothing at all."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from tests.harness import ROOT
from tests.perf.result import Result
from tests.perf.stage import fill, home, reevd

KNOWN = 10  # as many as it shows
PROGRAM = "import re, sys; from reevd.ctl.main import main; sys.exit(main())"  # as pip writes it


def status(runs: int) -> list[Result]:
    """Both in turn, so many times: what the host does meanwhile falls on both. Modules are compiled, as installed."""
    with home() as path, reevd(path, settle_seconds=0.05) as running:
        fill(running.sessions, KNOWN)
        running.wait_for(f"run-{KNOWN - 1}", "Completed")
        environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
        environ |= {"REEVD_SOCKET": str(running.socket), "PYTHONPYCACHEPREFIX": str(path / "compiled")}
        ours, floor = [], []
        for number in range(runs + 1):
            taken = _seconds(["-c", "pass"], environ), _seconds(["-c", PROGRAM, "status"], environ)
            if number:  # the first one compiles
                floor.append(taken[0] * 1e3)
                ours.append(taken[1] * 1e3)
    return [
        Result("reevctl status, beside python -c pass", statistics.median(ours), statistics.median(floor), "ms", 5, 3)
    ]


def _seconds(arguments: list[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
