"""How the runner is started: the installed one or the checkout's, with what arguments, in what environment."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import NamedTuple

from reevd.errors import ConfigError
from reevd.runs.job import Job

MARK = "REEVD_EXECUTION_ID"
# These speak of the daemon's own process: a runner that heard them would speak for it.
OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "INVOCATION_ID")
CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Launch(NamedTuple):
    """The runner as it is started here. `mode` is `installed` or `checkout`."""

    mode: str
    program: tuple[str, ...]
    sessions_dir: str
    environ: dict[str, str]

    def command(self, job: Job) -> list[str]:
        """The runner's arguments for this job; the runner itself ends it after its timeout."""
        command = [
            *self.program,
            job.path,
            f"--agent={job.agent}",
            f"--execution-id={job.execution_id}",
            f"--sessions-dir={self.sessions_dir}",
            f"--timeout={job.timeout_seconds:g}",
            "--quiet",
        ]
        return [*command, f"--rpc-url={job.rpc_url}"] if job.rpc_url else command

    def environment(self, execution_id: str) -> dict[str, str]:
        """The daemon's own, and a mark by which the run is found again after a restart."""
        return {**self.environ, MARK: execution_id}


def detect(environ: Mapping[str, str], sessions_dir: str, program: str = "") -> Launch:
    """By REEV_USE_RELEASE: true, false, or auto, which takes the installed runner where there is one.

    program: to be started instead, whatever is installed
    Raises ConfigError for another value.
    """
    wish = environ.get("REEV_USE_RELEASE", "auto").strip().lower() or "auto"
    if wish not in ("true", "false", "auto"):
        raise ConfigError("reading", f"REEV_USE_RELEASE={wish}", "it is unknown", "one of: true, false, auto")
    checkout = os.path.isfile(os.path.join(CHECKOUT, "runner", "__main__.py"))
    installed = program or (None if wish == "false" else _installed(environ))
    own = {name: value for name, value in environ.items() if name not in OWN}
    if wish == "true" or installed or not checkout:
        # Where it is missing, each run will say so: the daemon has other things to do than to run benchmarks.
        mode, command = "installed", [installed or "reev-runner"]
    else:
        mode, command = "checkout", [sys.executable, "-m", "runner"]
        own["PYTHONPATH"] = os.pathsep.join(filter(None, (CHECKOUT, own.get("PYTHONPATH"))))
    return Launch(mode, tuple(command), os.path.abspath(sessions_dir), own)


def _installed(environ: Mapping[str, str]) -> str | None:
    places = os.pathsep.join((os.path.dirname(sys.executable), environ.get("PATH", os.defpath)))
    return shutil.which("reev-runner", path=places)
