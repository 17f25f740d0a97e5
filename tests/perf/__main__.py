"""`make bench`: reevd, floors and peers in turn, in one run; medians of the rounds, as ratios.

    python -m tests.perf [--only NAME ...] [--rounds 3] [--small]

What is missed is printed as MISSED and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

from tests.perf import client, ingest, runs, serving, size
from tests.perf.result import HEAD, Result
from tests.perf.stage import as_installed

Measure = Callable[[], list[Result]]


def measures(*, small: bool) -> dict[str, Measure]:
    part = 10 if small else 1
    return {
        "latency": lambda: ingest.latency(2_000 // part),
        "burst": lambda: ingest.burst(50_000 // part),
        "telemetry": lambda: ingest.telemetry(200, 1_000 // part),
        "start": lambda: size.start(200_000 // part),
        "requests": lambda: serving.requests(8, 4.0 / part),
        "p99": lambda: serving.requests_during_burst(30_000 // part, 8, 4.0 / part),
        "memory": lambda: size.memory(100_000 // part),
        "runs": lambda: runs.deterministic(1_000 // part),
        "client": lambda: client.status(100 // part),
        "growth": lambda: size.growth(tuple(n // part for n in (1_000, 10_000, 100_000, 1_000_000))),
    }


def median(rounds: list[list[Result]]) -> list[Result]:
    """Of each measure the round with the middle ratio."""
    found = []
    for same in zip(*rounds, strict=True):
        middle = statistics.median_low([result.ratio for result in same])
        found.append(next(result for result in same if result.ratio == middle))
    return found


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--only", nargs="*", help="names of measures")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--small", action="store_true", help="a tenth of everything: to see that it works")
    wanted = asked.parse_args()
    print(HEAD, flush=True)
    missed = 0
    with as_installed():
        for name, measure in measures(small=wanted.small).items():
            if wanted.only and name not in wanted.only:
                continue
            once = name in ("start", "memory", "growth")  # they take long, and their own medians inside
            for result in median([measure() for _ in range(1 if once else wanted.rounds)]):
                print(result.line(), flush=True)
                missed += result.verdict == "MISSED"
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
