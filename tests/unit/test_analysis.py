"""The mathematics, against values worked out elsewhere."""

from __future__ import annotations

import pytest

from reevd.analysis.comparison import compare
from reevd.analysis.flakiness import flaky
from reevd.analysis.performance import Half, performance
from reevd.analysis.rates import Tally, sign_test, wilson


def tally(name: str, completed: int, executions: int, score: float | None = None, **more: object) -> Tally:
    scored = 0 if score is None else executions
    made = Tally("a", name, executions, completed, scored, (score or 0.0) * scored, "t", "Completed", score)
    return made._replace(**more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
        (500, 1000, 0.4691, 0.5309),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilsons_interval(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(0, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (8, 2, 0.109375), (5, 5, 1.0), (3000, 0, 0.0)],
)
def test_the_sign_test(wins: int, losses: int, p: float) -> None:
    assert sign_test(wins, losses) == pytest.approx(p, abs=1e-9)


def test_a_comparison_is_the_first_ones() -> None:
    first = {n: tally(n, 1, 2, s) for n, s in (("1", 0.9), ("2", 0.5), ("3", 0.501), ("mine", 1.0))}
    second = {n: tally(n, 1, 2, s) for n, s in (("1", 0.1), ("2", 0.8), ("3", 0.5), ("other", 1.0))}
    second["2"] = second["2"]._replace(latest_status="Failed")
    found = compare(first, second)
    assert [(r["benchmark_id"], r["outcome"]) for r in found["benchmarks"]] == [
        ("1", "win"),
        ("2", "loss"),
        ("3", "tie"),
    ]
    assert (found["wins"], found["losses"], found["ties"]) == (1, 1, 1)
    assert (found["changed"], found["only_a"], found["only_b"]) == (["2"], ["mine"], ["other"])
    assert found["sign_test_p"] == 1.0


def test_without_scores_success_decides() -> None:
    found = compare({"1": tally("1", 2, 2)}, {"1": tally("1", 1, 2)})
    assert found["benchmarks"][0]["outcome"] == "win"


def test_performance_sums_over_benchmarks_and_names_the_extremes() -> None:
    several = [tally(str(n), n, 10, n / 10) for n in range(8)] + [tally("none", 0, 5)]
    found = performance("a", several, Half(40, 10, 40, 10.0), Half(45, 18, 40, 18.0))
    assert (found["total_benchmarks"], found["total_executions"]) == (9, 85)
    assert found["success_rate"] == pytest.approx(28 / 85)
    assert found["average_score"] == pytest.approx(0.35)
    assert found["best_benchmarks"] == ["7", "6", "5"]
    assert found["worst_benchmarks"] == ["0", "1", "2"]
    assert found["trend"]["later"] == {"executions": 45, "success_rate": 0.4, "average_score": 0.45}


def test_few_benchmarks_are_not_both_best_and_worst() -> None:
    found = performance("a", [tally("1", 1, 1, 1.0), tally("2", 1, 1, 0.5)], Half(0, 0, 0, 0.0), Half(2, 2, 2, 1.5))
    assert (found["best_benchmarks"], found["worst_benchmarks"]) == (["1", "2"], [])
    assert found["trend"]["earlier"] == {"executions": 0, "success_rate": None, "average_score": None}


def test_what_flips_is_counted_between_neighbours() -> None:
    found = flaky(tally("1", 2, 4), ["Completed", "Failed", "Failed", "Completed"])
    assert (found["flip_rate"], found["newest"]) == (pytest.approx(2 / 3), "CFFC")
    assert flaky(tally("1", 1, 1), ["Timeout"])["flip_rate"] == 0.0
