"""For all tests: nothing leaves this machine, whatever a case may ask for."""

from __future__ import annotations

import signal

import pytest

for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # a shell does so to what it starts behind itself
        signal.signal(number, usual)

NOBODY = "http://127.0.0.1:9"
SERVICES = ("JUPITER_API_URL", "ZAI_API_URL", "GLM_CODING_API_URL", "REEV_LOCAL_URL")


@pytest.fixture(autouse=True)
def _stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERVICES:
        monkeypatch.setenv(name, NOBODY)
