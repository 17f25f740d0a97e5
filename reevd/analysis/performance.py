"""How an agent does: over all its benchmarks, in which best and worst, and whether it gets better. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reevd.analysis.rates import Tally, mean, wilson

MOST_NAMED = 3


class Half(NamedTuple):
    """Ended executions of an agent in the later, or the earlier, half of the time in which it ran."""

    executions: int
    completed: int
    scored: int
    score_sum: float

    def shown(self) -> dict[str, Any]:
        rate = self.completed / self.executions if self.executions else None
        return {
            "executions": self.executions,
            "success_rate": rate,
            "average_score": mean(self.score_sum, self.scored),
        }


def performance(agent: str, tallies: Sequence[Tally], earlier: Half, later: Half) -> dict[str, Any]:
    """An agent's line, without its results. Success is Completed; a run without a score counts in no mean."""
    executions, completed = sum(t.executions for t in tallies), sum(t.completed for t in tallies)
    scored = sorted((t for t in tallies if t.scored), key=lambda t: (-(t.average_score or 0.0), t.benchmark_id))
    best = scored[:MOST_NAMED]
    worst = [t for t in reversed(scored) if t not in best][:MOST_NAMED]
    return {
        "agent_type": agent,
        "total_benchmarks": len(tallies),
        "total_executions": executions,
        "average_score": mean(sum(t.score_sum for t in tallies), sum(t.scored for t in tallies)),
        "success_rate": completed / executions,
        "success_interval": list(wilson(completed, executions)),
        "best_benchmarks": [t.benchmark_id for t in best],
        "worst_benchmarks": [t.benchmark_id for t in worst],
        "trend": {"earlier": earlier.shown(), "later": later.shown()},
    }
