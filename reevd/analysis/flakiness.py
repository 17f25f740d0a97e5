"""Benchmarks whose outcome is not steady. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from reevd.analysis.rates import Tally, wilson

LETTERS = {"Completed": "C", "Failed": "F", "Timeout": "T", "Stopped": "S"}


def flaky(tally: Tally, newest: Sequence[str]) -> dict[str, Any]:
    """`newest`: the statuses of its last runs, newest first. `flip_rate`: how often one differs from the next."""
    flips = sum(one != other for one, other in itertools.pairwise(newest))
    return {
        "agent_type": tally.agent,
        "benchmark_id": tally.benchmark_id,
        "executions": tally.executions,
        "success_rate": tally.success_rate,
        "success_interval": list(wilson(tally.completed, tally.executions)),
        "flip_rate": flips / (len(newest) - 1) if len(newest) > 1 else 0.0,
        "newest": "".join(LETTERS.get(status, "?") for status in newest),
        "latest_at": tally.latest_at,
    }
