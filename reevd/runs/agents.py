"""Which agents the runner knows: it is asked once, and nobody waits for its answer."""

from __future__ import annotations

import subprocess

import structlog

from reevd.names import EXECUTION_ID
from reevd.runs.launch import MARK, Launch

log = structlog.get_logger("reevd.runs")


class Agents:
    """`known` is empty until the runner has answered, and where it cannot be asked."""

    def __init__(self, launch: Launch) -> None:
        self.known: list[str] = []
        self._launch = launch
        self._asked: subprocess.Popen[str] | None = None
        self._done = False

    def ask(self) -> bool:
        """Asks, or goes on asking. Returns whether the answer has just come."""
        if self._done:
            return False
        if self._asked is None:
            self._start()
            return False
        if self._asked.poll() is None:
            return False
        text, _ = self._asked.communicate()
        if self._asked.returncode:
            log.warning("the runner does not name its agents", exit_status=self._asked.returncode)
        self.known = [name for name in text.split() if EXECUTION_ID.fullmatch(name)]
        self._done = True
        return True

    def _start(self) -> None:
        environ = {name: value for name, value in self._launch.environ.items() if name != MARK}
        try:
            self._asked = subprocess.Popen(
                [*self._launch.program, "--list-agents"],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            runner = self._launch.program[0]
            log.warning("the runner cannot be asked for its agents", runner=runner, error=error.strerror)
            self._done = True

    def close(self) -> None:
        if self._asked is not None and not self._done:
            self._asked.kill()
            self._asked.communicate()
