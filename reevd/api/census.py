"""How many executions there are of each status: counted when something changed, and not all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

import apsw

COUNT = "SELECT status, count(*) FROM execution_states GROUP BY status"
# Counting takes longer the more there is, and everybody else waits for it: what takes longer than so many seconds takes
# this part of the time at most. A count that was slow for another reason is made again soon all the same.
CHEAP, SHARE, OLDEST = 0.005, 0.05, 10.0


class Census:
    """Of what a connection sees: of a million executions perhaps as it was some seconds ago, of ten thousand as it is.

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
            took = self._clock() - began
            self._version = version
            self._not_before = began + took + (min(took / SHARE, OLDEST) if took > CHEAP else 0.0)
        return dict(self._counts)
