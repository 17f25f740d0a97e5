"""Two agents over the same benchmarks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reevd.analysis.rates import Tally, sign_test

TOLERANCE = 0.005
"""Mean scores that are nearer to each other than this are a tie."""


def compare(first: Mapping[str, Tally], second: Mapping[str, Tally]) -> dict[str, Any]:
    """Both by benchmark. Outcomes are the first agent's: win, loss, tie; `changed`: its newest run succeeded where
    the other's did not, or the other way round. Scores are means over all ended runs; without scores, success rates.
    """
    both = sorted(first.keys() & second.keys())
    rows = [_row(first[name], second[name]) for name in both]
    counts = {word: sum(row["outcome"] == word for row in rows) for word in ("win", "loss", "tie")}
    return {
        "benchmarks": rows,
        "wins": counts["win"],
        "losses": counts["loss"],
        "ties": counts["tie"],
        "changed": [row["benchmark_id"] for row in rows if row["changed"]],
        "only_a": sorted(first.keys() - second.keys()),
        "only_b": sorted(second.keys() - first.keys()),
        "sign_test_p": sign_test(counts["win"], counts["loss"]),
    }


def _row(first: Tally, second: Tally) -> dict[str, Any]:
    mine, other = first.average_score, second.average_score
    if mine is None or other is None:
        mine, other = first.success_rate, second.success_rate
    outcome = "tie" if abs(mine - other) <= TOLERANCE else "win" if mine > other else "loss"
    return {
        "benchmark_id": first.benchmark_id,
        "a": _side(first),
        "b": _side(second),
        "difference": mine - other,
        "outcome": outcome,
        "changed": (first.latest_status == "Completed") != (second.latest_status == "Completed"),
    }


def _side(tally: Tally) -> dict[str, Any]:
    return {
        "executions": tally.executions,
        "success_rate": tally.success_rate,
        "average_score": tally.average_score,
        "latest_status": tally.latest_status,
        "latest_score": tally.latest_score,
    }
