"""Keeps the process that follows alive, where there is somebody to be told. What becomes of it stops nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
LOOK_SECONDS = 1.0
STEADY_SECONDS = 60.0
STOP_SECONDS = 2.0

log = structlog.get_logger("reevd.feed")


class Keeper:
    """`settings`: as `reevd.feed.follow` takes them; None where nobody is to be told."""

    def __init__(self, settings: Mapping[str, Any] | None) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = self._started_at = 0.0
        self._pause = FIRST_PAUSE

    def step(self) -> float:
        """Starts it where it does not run. Returns the seconds until the next look."""
        if self._settings is None:
            return STEADY_SECONDS
        now = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            if now - self._started_at > STEADY_SECONDS:
                self._pause = FIRST_PAUSE
            log.error("the follower ended by itself", exit_status=self._process.returncode, again_in=self._pause)
            self._start_at, self._pause = now + self._pause, min(LONGEST_PAUSE, 2 * self._pause)
            self._drop()
        if self._process is None and now >= self._start_at:
            self._started_at = now
            command = [sys.executable, "-m", "reevd.feed.follow", orjson.dumps(self._settings).decode()]
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
            except OSError as error:
                log.error("the follower cannot be started", error=error.strerror, again_in=LONGEST_PAUSE)
                self._start_at = now + LONGEST_PAUSE
        return LOOK_SECONDS

    def _drop(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def close(self) -> None:
        """It goes on with what is under way, but not for long: what was not delivered waits in its outbox."""
        if (process := self._process) is None:
            return
        self._drop()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
