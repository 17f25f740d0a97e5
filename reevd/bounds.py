"""How much is read, how soon it counts, and how often everything is looked at. Records only."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """What is read of a file at most, and how long after its last change a reading counts.

    writers: ids of the users whose files are read; none: everyone's
    """

    settle_ns: int = 2_000_000_000
    session_bytes: int = 16 << 20
    otel_bytes: int = 256 << 20
    budget: int = 8 << 20
    writers: frozenset[int] = frozenset()


class Pace(NamedTuple):
    """Seconds between scans of the whole folder: where events arrive, and where they do not."""

    rescan: float = 30.0
    poll: float = 1.0


DEFAULT_BOUNDS, DEFAULT_PACE = Bounds(), Pace()
