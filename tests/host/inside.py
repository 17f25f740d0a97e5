"""What the checks need inside of the lab: to run commands as somebody, to ask systemd, to report."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

SESSIONS, STATE = Path("/var/log/reevd/sessions"), Path("/var/lib/reevd")
CASES = "/usr/local/share/reevd/benchmarks"
Check = Callable[[], str]


def sh(command: str, *, user: str = "", status: int | None = 0) -> str:
    """What the shell printed on both streams. AssertionError where it ends with another status; None takes any."""
    words = ["su", "-", user, "-c", command] if user else ["sh", "-c", command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert status is None or done.returncode == status, f"{command}: exit status {done.returncode}: {said}"
    return said.strip()


def ask(unit: str, name: str) -> str:
    """One of systemd's properties of the unit."""
    return sh(f"systemctl show --value -p {name} {unit}")


def configure(unit: str, text: str) -> None:
    """A drop-in for the unit; no text takes it away again."""
    folder = Path(f"/etc/systemd/system/{unit}.d")
    folder.mkdir(exist_ok=True)
    (folder / "test.conf").write_text(text)
    sh("systemctl daemon-reload")


def report(checks: list[Check]) -> None:
    """One line of JSON a check: {check, ok, said}. A failure does not keep the others from being made."""
    for check in checks:
        try:
            line = {"check": check.__name__, "ok": True, "said": check()}
        except Exception:  # noqa: BLE001 (whatever it is, it is this check's outcome)
            line = {"check": check.__name__, "ok": False, "said": traceback.format_exc()}
        print(json.dumps(line), file=sys.stdout, flush=True)
