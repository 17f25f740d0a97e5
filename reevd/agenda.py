"""What is to be looked at, and when. Fresh news before second looks; each execution once. Pure."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable

# One in so many is a second look, however much news there is: a storm must not starve them.
FAIRNESS = 16


class Agenda:
    """Execution ids to look at: at once, or at a time (microseconds)."""

    def __init__(self) -> None:
        self._news: OrderedDict[str, None] = OrderedDict()
        self._at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._news) + len(self._at)

    def add(self, execution_ids: Iterable[str]) -> None:
        self._news.update(dict.fromkeys(execution_ids))

    def add_later(self, execution_id: str, at: int) -> None:
        """An earlier time stands."""
        if self._at.get(execution_id, at + 1) > at:
            self._at[execution_id] = at
            heapq.heappush(self._heap, (at, execution_id))

    def hurry(self) -> None:
        """Everything is due now."""
        self.add(self._at)
        self._at.clear()
        self._heap.clear()

    def take(self, now: int, most: int) -> list[str]:
        """Up to `most` ids whose time has come, each of them once."""
        taken: dict[str, None] = {}
        later = most // FAIRNESS if self._news else most
        while self._heap and self._heap[0][0] <= now and later:
            at, execution_id = heapq.heappop(self._heap)
            if self._at.get(execution_id) == at:
                del self._at[execution_id]
                taken[execution_id] = None
                later -= 1
        while self._news and len(taken) < most:
            execution_id, _ = self._news.popitem(last=False)
            taken[execution_id] = None
            # The look that follows says anew whether another is due.
            self._at.pop(execution_id, None)
        return list(taken)

    def next_at(self) -> int | None:
        """When there is something to take: 0 for at once, None for never."""
        if self._news:
            return 0
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
