"""How many executions there are of each status: counted when something changed, and not all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import apsw

COUNT = "SELECT status, count(*) FROM execution_states GROUP BY status"
# Counting takes longer the more there is, and everybody else waits for it: it may take this part of the time at most.
SHARE = 0.05


class Census:
    """Of what a connection sees. With a million executions the numbers may be some seconds old, with a thousand never.

    clock: seconds
    """

    def __init__(self, db: apsw.Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._db, self._clock = db, clock
        self._counts: dict[str, int] = {}
        self._version: object = None
        self._not_before = 0.0

    def counts(self) -> dict[str, int]:
        """By status; none for a status of which there is none. Raises apsw.Error."""
        version = self._db.pragma("data_version")  # before the count: what is committed in between is counted again
        began = self._clock()
        if version != self._version and began >= self._not_before:
            self._counts = {str(status): int(count) for status, count in self._db.execute(COUNT)}
            ended = self._clock()
            self._version, self._not_before = version, ended + (ended - began) / SHARE
        return self._counts
