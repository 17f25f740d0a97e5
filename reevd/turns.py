"""Who goes first where there are fewer cores than work: whoever is asked, before whoever works through a pile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def in_the_background(yes: bool = True) -> Iterator[None]:
    """What this thread does meanwhile takes no core from whom it finds at work, and its share is the same.

    What it starts meanwhile does likewise. See SCHED_BATCH in sched(7): no right is needed, for neither way.
    """
    before = os.sched_getscheduler(0)
    if not yes or before != os.SCHED_OTHER:
        yield
        return
    _become(os.SCHED_BATCH)
    try:
        yield
    finally:
        _become(before)


def _become(policy: int) -> None:
    with suppress(PermissionError):  # where a host forbids it, all go in turn
        os.sched_setscheduler(0, policy, os.sched_param(0))
