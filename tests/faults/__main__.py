"""`python -m tests.faults [--faults N] [--seed S] [--jobs J]`: every operation on the disk fails in turn; a table."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice

import structlog

from tests.faults.disk import KINDS, Fault, Kind
from tests.faults.trial import Outcome, run, truth
from tests.faults.workloads import WORKLOADS
from tests.faults.world import WrongError

COLUMNS = ("injected", "survived", "rebuilt", "wrong", "corrupt")
PATIENCE = 20  # seconds that one play may take
LASTING = (1, 1, 2, 6, 0)
Point = tuple[str, Kind, int]
Task = tuple[str, tuple[Fault, ...]]


def plan(count: int, seed: int) -> list[Task]:
    """`count` faults: every operation of every workload once per kind, in random order, as often as it takes.

    Two at a time, the second after the first is over: what came through one must come through the next.
    """
    dice = random.Random(seed)
    points = [
        (workload, kind, at)
        for workload in WORKLOADS
        for kind in KINDS
        for at in range(1, truth(workload).counts[kind] + 1)
    ]
    tasks: list[Task] = []
    single: dict[str, Fault] = {}
    for workload, kind, at in islice(_shuffled(points, dice), count):
        fault = Fault(kind, at, 1 if kind == "power" else dice.choice(LASTING), dice.randrange(1 << 30))
        if (other := single.pop(workload, None)) is None:
            single[workload] = fault
        else:
            tasks.append((workload, tuple(sorted((fault, other), key=partial(_when, workload)))))
    return tasks + [(workload, (fault,)) for workload, fault in single.items()]


def _shuffled(points: list[Point], dice: random.Random) -> Iterator[Point]:
    """Each once, then each once more in another order, for ever."""
    while True:
        dice.shuffle(points)
        yield from points


def _when(workload: str, fault: Fault) -> float:
    """At which part of the workload, about."""
    return fault.at / truth(workload).counts[fault.kind]


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def _endless(*_: object) -> None:
    raise WrongError(f"it took more than {PATIENCE} s")


def _run(task: Task) -> Outcome:
    signal.signal(signal.SIGALRM, _endless)
    signal.alarm(PATIENCE)
    try:
        return run(*task)
    except Exception:  # noqa: BLE001 - shown as what it is: a fault that reevd did not survive
        return Outcome(*task, len(task[1]), 0, 0, traceback.format_exc(), "")
    finally:
        signal.alarm(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--one", help="WORKLOAD:KIND,AT,LASTING,SEED[:KIND,AT,LASTING,SEED], as printed")
    parser.add_argument("--only", help="one workload", choices=WORKLOADS)
    asked = parser.parse_args()
    began = time.monotonic()
    if asked.one:
        workload, *faults = asked.one.split(":")
        told = [fault.split(",") for fault in faults]
        print(run(workload, tuple(Fault(kind, *map(int, numbers)) for kind, *numbers in told)))
        return 0
    _quiet()
    tasks = [task for task in plan(asked.faults, asked.seed) if asked.only in (None, task[0])]
    table: dict[tuple[str, str], Counter[str]] = {}
    failed = injected = 0
    # What stands before the first fault is no garbage of any: without the freeze, a third of the time goes into it.
    with ProcessPoolExecutor(asked.jobs, multiprocessing.get_context("fork"), initializer=gc.freeze) as pool:
        for outcome in pool.map(_run, tasks, chunksize=4):
            injected += outcome.struck
            for fault in outcome.faults[: outcome.struck]:
                _count(table.setdefault((outcome.workload, fault.kind), Counter()), outcome)
            if outcome.wrong or outcome.corrupt:
                failed += 1
                printed = ":".join(",".join(map(str, fault)) for fault in outcome.faults)
                print(f"--one {outcome.workload}:{printed}\n    {outcome.wrong or outcome.corrupt}", flush=True)
    _print(table)
    took = time.monotonic() - began
    each = took * asked.jobs / max(1, injected) * 1000
    print(f"{injected:,} faults in {took:.1f} s, {each:.1f} ms a fault and job; {failed} failed")
    return int(failed > 0)


def _count(cell: Counter[str], outcome: Outcome) -> None:
    cell["injected"] += 1
    if outcome.corrupt:
        cell["corrupt"] += 1
    elif outcome.wrong:
        cell["wrong"] += 1
    else:
        cell["rebuilt" if outcome.remade > truth(outcome.workload).remade else "survived"] += 1


def _print(table: dict[tuple[str, str], Counter[str]]) -> None:
    print(f"{'workload':<12}{'kind':<8}" + "".join(f"{name:>10}" for name in COLUMNS))
    total: Counter[str] = Counter()
    for (workload, kind), cell in sorted(table.items()):
        total += cell
        print(f"{workload:<12}{kind:<8}" + "".join(f"{cell[name]:>10}" for name in COLUMNS))
    print(f"{'all':<20}" + "".join(f"{total[name]:>10}" for name in COLUMNS))


if __name__ == "__main__":
    sys.exit(main())
