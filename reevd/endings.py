"""What has ended, said in the log: a line each, and in a burst one for all the others of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import structlog

from reevd.model import Execution
from reevd.times import SECOND

LINES_A_SECOND = 20

log = structlog.get_logger("reevd.endings")


class Endings:
    def __init__(self) -> None:
        self._second, self._left = 0, LINES_A_SECOND

    def tell(self, written: Iterable[Execution], before: Mapping[str, Execution], now: int) -> None:
        """`before`: the rows as they stood. `now`: microseconds since 1970."""
        ended = [row for row in written if row.terminal and _is_news(row, before.get(row.execution_id))]
        if not ended:
            return
        if now // SECOND != self._second:
            self._second, self._left = now // SECOND, LINES_A_SECOND
        alone, others = ended[: self._left], ended[self._left :]
        self._left -= len(alone)
        for row in alone:
            about = {"benchmark_id": row.benchmark_id, "agent": row.agent, "status": row.status, "score": row.score}
            log.info("execution ended", execution_id=row.execution_id, **about)
        if others:
            log.info("executions ended", count=len(others), **Counter(str(row.status) for row in others))


def _is_news(row: Execution, before: Execution | None) -> bool:
    return before is None or (row.status, row.score) != (before.status, before.score)
