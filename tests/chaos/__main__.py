"""`python -m tests.chaos [--schedules N] [--seed S] [--jobs J]`: random schedules; a table of what was wrong."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator

from reevd import readahead
from tests.chaos import scouts
from tests.chaos.schedule import Outcome, run


def play(seeds: range, jobs: int) -> Iterator[Outcome]:
    """The outcomes, in the order in which they come; each job a process forked from this warm one."""
    gc.freeze()
    receive, send = os.pipe()
    children = []
    for job in range(jobs):
        pid = os.fork()
        if pid == 0:
            os.close(receive)
            import structlog

            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
            scouts.adopt()
            readahead.start = scouts.fork  # type: ignore[assignment]
            for seed in seeds[job::jobs]:
                os.write(send, json.dumps(_played(seed)).encode() + b"\n")
                scouts.bury()
            os._exit(0)
        children.append(pid)
    os.close(send)
    with os.fdopen(receive, "rb") as lines:
        for line in lines:
            yield Outcome(*json.loads(line))
    for pid in children:
        os.waitpid(pid, 0)


def _played(seed: int) -> Outcome:
    try:
        return run(seed)
    except Exception:  # noqa: BLE001 - shown as what it is: a schedule that went wrong
        return Outcome(seed, 0, 0, 0, 0, [traceback.format_exc()])


def main() -> int:
    parser = argparse.ArgumentParser(description="Crashes, torn files, deletions; and an oracle.")
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    began, totals, failed = time.monotonic(), [0] * 5, 0
    for outcome in play(range(asked.seed, asked.seed + asked.schedules), asked.jobs):
        totals = [a + b for a, b in zip(totals, (1, *outcome[1:5]), strict=True)]
        if outcome.wrong:
            failed += 1
            print(f"seed {outcome.seed}:", *outcome.wrong[:5], sep="\n    ", flush=True)
    took = time.monotonic() - began
    names = ("schedules", "kill -9", "stops", "executions", "looks of the reader")
    print(", ".join(f"{count:,} {name}" for count, name in zip(totals, names, strict=True)))
    each = took / max(1, totals[0]) * 1000 * asked.jobs
    print(f"{failed} schedules with a violation; {took:.1f} s, {each:.0f} ms a schedule and job")
    return int(failed > 0 or totals[0] < asked.schedules)


if __name__ == "__main__":
    sys.exit(main())
