"""How the engine is: what works, what does not and why, what waits."""

from __future__ import annotations

from typing import NamedTuple


class Health(NamedTuple):
    """As /health shows it.

    mode: inotify or poll. pending: executions that wait for a look. stale: what is shown may be old, because
    storing fails. scanned: entries of the last full scan, or of the first one so far. overflows: how many times
    events were lost. reasons: all that is not as it should be, as sentences.
    """

    mode: str
    pending: int
    last_rescan_at: str | None
    last_rescan_seconds: float | None
    scanned: int
    stale: bool
    overflows: int
    reasons: list[str]
