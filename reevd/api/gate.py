"""How many there may be, in all and of one user: connections, or listeners. Pure."""

from __future__ import annotations

from collections import Counter


class Gate:
    """Counts who is in. A user who takes all that there is must not shut the others out."""

    def __init__(self, per_user: int, total: int, what: str = "connections") -> None:
        self._per_user, self._total, self._what = per_user, total, what
        self._inside: Counter[int] = Counter()

    def enter(self, uid: int) -> str | None:
        """None where there is room; else why there is none. Who entered must leave."""
        if self._inside[uid] >= self._per_user:
            return f"user {uid} has {self._per_user} {self._what} already"
        if self._inside.total() >= self._total:
            return f"there are {self._total} {self._what} already"
        self._inside[uid] += 1
        return None

    def leave(self, uid: int) -> None:
        self._inside[uid] -= 1
        if not self._inside[uid]:
            del self._inside[uid]
