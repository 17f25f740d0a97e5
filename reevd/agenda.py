"""What is to be looked at, and when. Fresh news before second looks; each execution once. Pure."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Iterable
from itertools import islice
from typing import NamedTuple

# Second looks come in turn with news, fewer at once, and fewer yet beside much news: neither makes the other wait long.
FAIRNESS, BESIDE = 16, 64
# And no more than so many while few wait: news that comes meanwhile waits for the sync of all of them.
FEW, SHARE = 8, 64
# One turn of so many is for who waited for a time, before who is looked at as soon as can be: these may be thousands.
TURNS = 4


class Batch(NamedTuple):
    """`alone`: those of the news of which only the session file is known to have changed."""

    news: list[str]
    alone: frozenset[str]
    second: list[str]

    @property
    def ids(self) -> list[str]:
        return self.news + self.second


class Agenda:
    """Execution ids to look at: at once, or at a time (microseconds)."""

    def __init__(self) -> None:
        self._news: OrderedDict[str, None] = OrderedDict()
        self._alone: set[str] = set()
        self._at: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._urgent: OrderedDict[str, None] = OrderedDict()
        self._owed, self._turn = False, 0

    def __len__(self) -> int:
        return len(self._news) + len(self._at)

    @property
    def fresh(self) -> int:
        """How many are due by their news, second looks not counted."""
        return len(self._news)

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._news or execution_id in self._at

    def add(self, execution_ids: Iterable[str], alone: Collection[str] = ()) -> None:
        """As news. `alone`: more of them, of which the session file is news, and nothing was heard of telemetry."""
        if alone:
            self._alone.update([execution_id for execution_id in alone if execution_id not in self])
            self._news.update(dict.fromkeys(alone))
        ids = dict.fromkeys(execution_ids)
        self._news.update(ids)
        self._alone.difference_update(ids)

    def add_later(self, execution_id: str, at: int) -> None:
        """For a second look; 0: as soon as can be. An earlier time stands. It is not known of which of its files."""
        self._alone.discard(execution_id)
        if self._at.get(execution_id, at + 1) > at:
            self._at[execution_id] = at
            if at:
                heapq.heappush(self._heap, (at, execution_id))
            else:
                self._urgent[execution_id] = None

    def hurry(self) -> None:
        """Everything is due now."""
        self.add(self._at)
        self._at.clear()
        self._heap.clear()
        self._urgent.clear()

    def take(self, now: int, most: int) -> Batch:
        """Up to `most` ids to look at now, each of them once: news, or second looks whose time has come.

        Not both, since second looks may have to be synced, and news would wait for that.
        """
        second = self._second(now, self._few(most)) if self._owed or not self._news else []
        self._owed = not second and self._due(now)  # these waited for the news
        return Batch([], frozenset(), second) if second else self._news_batch(most, [])

    def take_many(self, now: int, most: int) -> Batch:
        """The same where much news waits: up to `most` news, and second looks beside them.

        What is stored is synced anyway by then, and a turn of their own would cost the news another sync.
        """
        second = self._second(now, max(1, most // BESIDE))
        return self._news_batch(most, second)

    def _news_batch(self, most: int, second: list[str]) -> Batch:
        alone = self._alone.intersection(islice(self._news, most))
        return Batch(self._fresh(most), frozenset(alone), second)

    def _few(self, most: int) -> int:
        return max(1, min(most // FAIRNESS, max(FEW, len(self._at) // SHARE)))

    def _due(self, now: int) -> bool:
        return bool(self._urgent) or (bool(self._heap) and self._heap[0][0] <= now)

    def _second(self, now: int, most: int) -> list[str]:
        self._turn = (self._turn + 1) % TURNS
        taken = self._waited(now, most) if self._turn == 0 else []
        while self._urgent and len(taken) < most:
            execution_id, _ = self._urgent.popitem(last=False)
            del self._at[execution_id]
            taken.append(execution_id)
        taken += self._waited(now, most - len(taken))
        for execution_id in taken:
            self._news.pop(execution_id, None)
        self._alone.difference_update(taken)
        return taken

    def _waited(self, now: int, most: int) -> list[str]:
        taken = list[str]()
        while self._heap and self._heap[0][0] <= now and len(taken) < most:
            at, execution_id = heapq.heappop(self._heap)
            if self._at.get(execution_id) == at:
                del self._at[execution_id]
                taken.append(execution_id)
        return taken

    def _fresh(self, most: int) -> list[str]:
        taken = list[str]()
        while self._news and len(taken) < most:
            execution_id, _ = self._news.popitem(last=False)
            taken.append(execution_id)
            # The look that follows says anew whether another is due.
            self._at.pop(execution_id, None)
            self._urgent.pop(execution_id, None)
        self._alone.difference_update(taken)
        return taken

    def next_at(self) -> int | None:
        """When there is something to take: 0 for at once, None for never."""
        if self._news or self._urgent:
            return 0
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
