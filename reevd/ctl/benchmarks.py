"""The command about the cases that can be run."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from reevd.ctl import render
from reevd.ctl.client import part
from reevd.ctl.shell import DONE, Shell
from reevd.ctl.usage import Command, case_id


def benchmarks(shell: Shell) -> int:
    """The benchmarks that reevd knows, or one with its newest executions."""
    if shell.asked.benchmark:
        found = shell.get(f"/benchmarks/{part(shell.asked.benchmark)}")
        shell.say(found, _one(found, time.time()))
        return DONE
    cases = shell.array("/benchmarks")
    rows = [(case["id"], ", ".join(map(str, case["tags"])), case["description"]) for case in cases]
    none = "none: put cases (YAML) into the folder of the setting benchmarks_dir, then `reevctl sync`"
    shell.say(cases, render.table(rows, ("benchmark", "tags", "description")) if rows else none)
    return DONE


def _one(case: dict[str, Any], now: float) -> str:
    fields = (("about", case["description"]), ("tags", ", ".join(map(str, case["tags"]))), ("prompt", case["prompt"]))
    lines = [render.safe(case["id"]), *(f"  {name:<8}{render.safe(value)}" for name, value in fields if value)]
    rows = [
        (
            render.status(e["status"]),
            render.score(e["score"]),
            e["agent_type"],
            render.age(e["created_at"], now),
            e["execution_id"],
        )
        for e in case["recent_executions"]
    ]
    heads = ("status", "score", "agent", "began", "execution")
    return "\n".join([*lines, "", render.table(rows, heads) if rows else "it has not run yet"])


def _maybe_one(sub: ArgumentParser) -> None:
    about = "benchmark id, or the path of its case; without it, all of them in short"
    sub.add_argument("benchmark", nargs="?", type=case_id, metavar="ID", help=about)


COMMANDS = {
    "benchmarks": Command(benchmarks, _maybe_one, ("reevctl benchmarks", "reevctl benchmarks 001-sol-transfer")),
}
