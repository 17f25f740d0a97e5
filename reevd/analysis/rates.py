"""Success rates, with how far they can be trusted. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

Z95 = 1.959963984540054
"""The normal distribution's quantile for an interval of 95 %."""


class Tally(NamedTuple):
    """Ended executions of one agent and one benchmark; a mean of no scores is None.

    latest_at, latest_status, latest_score   of the newest
    """

    agent: str
    benchmark_id: str
    executions: int
    completed: int
    scored: int
    score_sum: float
    latest_at: str
    latest_status: str
    latest_score: float | None

    @property
    def average_score(self) -> float | None:
        return self.score_sum / self.scored if self.scored else None

    @property
    def success_rate(self) -> float:
        return self.completed / self.executions


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a rate (E. B. Wilson 1927): holds for few trials and for rates of 0 and 1 too."""
    if trials == 0:
        return 0.0, 1.0
    rate, z2 = successes / trials, Z95 * Z95
    centre = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    reach = Z95 / (1 + z2 / trials) * math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials * trials))
    return max(0.0, centre - reach) if successes else 0.0, min(1.0, centre + reach) if successes < trials else 1.0


def sign_test(wins: int, losses: int) -> float:
    """The two-sided probability of a split at least this uneven, were both sides equally good; ties do not count."""
    trials, fewer = wins + losses, min(wins, losses)
    if trials == 0:
        return 1.0
    tail = sum(math.comb(trials, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << trials))


def mean(total: float, count: int) -> float | None:
    return total / count if count else None
