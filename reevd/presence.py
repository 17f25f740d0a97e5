"""What systemd sees of the daemon: that it starts, that it is ready, how it stands, that it lives."""

from __future__ import annotations

import time

import apsw

from reevd import notify
from reevd.engine import Engine

STATUS_SECONDS = 10.0
REST_SECONDS, LATEST_SECONDS = 2.0, 10.0
# Counting takes longer the more there is: it may take this part of the time at most.
SHARE = 0.01

KNOWN = "SELECT count(*) FROM execution_states"
UNDER_WAY = f"{KNOWN} WHERE deadline_at IS NOT NULL"


class Presence:
    """Told in every round of the loop that does the work, so that a loop which hangs falls silent.

    trouble: what else `systemctl status` is to say, beside the reasons of the engine's health; empty for nothing
    """

    def __init__(self, engine: Engine, folder: str) -> None:
        self._engine, self._folder = engine, folder
        self._ready = False
        self._tell_at = self._ready_at = self._stored_at = 0.0
        self._stored = 0
        self._every = (notify.watchdog_seconds() or 0.0) / 4
        self._live_at = 0.0
        self._moved: tuple[int, ...] = ()
        self.trouble = ""

    @property
    def at_rest(self) -> bool:
        """Whether nobody seems to wait: it is ready and nothing was stored for a while, or it has been so for long."""
        now = time.monotonic()
        return self._ready and (now >= self._stored_at + REST_SECONDS or now >= self._ready_at + LATEST_SECONDS)

    def sign(self) -> None:
        now = time.monotonic()
        if self._every and now >= self._live_at:
            self._live_at = now + self._every
            notify.tell(WATCHDOG="1")
        if self._stored != self._engine.patrol.written:
            self._stored, self._stored_at = self._engine.patrol.written, now
        if self._engine.ready and not self._ready:
            self._ready, self._ready_at, self._stored_at = True, now, now
            self._tell_at = now + STATUS_SECONDS
            notify.tell(READY="1", STATUS=self._status())
        elif now >= self._tell_at:
            pause = STATUS_SECONDS
            if self._ready:
                notify.tell(STATUS=self._status())
                pause = max(pause, (time.monotonic() - now) / SHARE)
            else:
                notify.tell(STATUS=self._with_reasons(f"reading {self._folder}"), **self._more_time())
            self._tell_at = now + pause

    def reloading(self) -> None:
        """The settings are about to be read anew. Before it is ready nobody waits for that, nor may hear READY."""
        if self._ready:
            notify.tell(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000))

    def reloaded(self) -> None:
        """They were, or the old ones stay: `trouble` says why."""
        if self._ready:
            notify.tell(READY="1", STATUS=self._status())

    def _more_time(self) -> dict[str, str]:
        """A first reconciliation may take its time as long as it moves, or waits for a disk that takes no writes."""
        health = self._engine.health()
        moved = (self._engine.scans, self._engine.patrol.written, health.pending, health.scanned)
        if moved == self._moved and not health.stale:
            return {}
        self._moved = moved
        return {"EXTEND_TIMEOUT_USEC": str(int(3 * STATUS_SECONDS * 1e6))}

    def _status(self) -> str:
        try:
            (known,), (under_way,) = (self._engine.store.rows(count)[0] for count in (KNOWN, UNDER_WAY))
        except apsw.Error as error:
            return f"{self._folder}: the database cannot be read: {error}"
        problems = self._engine.problems
        return self._with_reasons(
            f"{self._folder}: {known:,} executions, {under_way:,} under way, {problems:,} problems"
        )

    def _with_reasons(self, text: str) -> str:
        return "; ".join((text, *filter(None, (self.trouble, *self._engine.health().reasons))))
