"""What many executions came to, a line for each case. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

HEAD = ("case", "runs", "ok", "failed", "mean score", "median ms")


class Row(NamedTuple):
    """Of one case. `median_ms` and `mean_score` leave out executions whose process died."""

    benchmark_id: str
    runs: int
    succeeded: int
    failed: int
    mean_score: float | None
    median_ms: float | None


def rows(told: Sequence[dict[str, Any]]) -> list[Row]:
    """One a case, in the order in which they came first. Each: {benchmark_id, success?, score?, execution_time_ms?}."""
    cases: dict[str, list[dict[str, Any]]] = {}
    for each in told:
        cases.setdefault(each["benchmark_id"], []).append(each)
    return [_row(name, several) for name, several in cases.items()]


def _row(name: str, several: list[dict[str, Any]]) -> Row:
    good = sum(bool(each.get("success")) for each in several)
    scores = [each["score"] for each in several if "score" in each]
    times = [each["execution_time_ms"] for each in several if "execution_time_ms" in each]
    mean = round(statistics.fmean(scores), 6) if scores else None
    return Row(name, len(several), good, len(several) - good, mean, statistics.median(times) if times else None)


def table(found: Sequence[Row]) -> str:
    lines = [
        HEAD,
        *(tuple("-" if v is None else f"{v:g}" if isinstance(v, float) else str(v) for v in r) for r in found),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    shown = (
        "  ".join(
            cell.ljust(w) if n == 0 else cell.rjust(w) for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )
    return "\n".join(line.rstrip() for line in shown)


def bar(done: int, count: int, bad: int, width: int = 30) -> str:
    """A line of progress."""
    full = width * done // count
    return f"[{'#' * full}{'.' * (width - full)}] {done}/{count}" + (f", {bad} failed" if bad else "")
