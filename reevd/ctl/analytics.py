"""Commands about many runs together."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from reevd.ctl import render
from reevd.ctl.shell import DONE, Shell
from reevd.ctl.usage import Command, period, whose

LEAST = 3
ARROWS = ((0.02, "↑"), (-0.02, "↓"))


def agents(shell: Shell) -> int:
    """The agents that have run: how often they succeed, and whether they get better."""
    newest = None if shell.asked.json else 1  # the single runs are not shown
    found = shell.get("/agent-performance", limit=newest, **_period(shell))
    rows = [
        (
            a["agent_type"],
            a["total_executions"],
            a["total_benchmarks"],
            _percent(a["success_rate"]),
            "{} to {}".format(*map(_percent, a["success_interval"])),
            render.score(a["average_score"]),
            _trend(a["trend"]),
            ", ".join(a["worst_benchmarks"][:2]),
        )
        for a in found
    ]
    heads = ("agent", "runs", "cases", "success", "95 % interval", "score", "trend", "worst in")
    when = "in that time" if shell.asked.since or shell.asked.until else "yet"
    shell.say(found, render.table(rows, heads) if rows else f"no run has ended {when}")
    return DONE


def compare(shell: Shell) -> int:
    """Two agents over the benchmarks that both have run: wins, losses, ties, and which changed."""
    asked = shell.asked
    found = shell.get("/compare", a=asked.a, b=asked.b, **_period(shell))
    rows = [
        (
            {"win": "✔ win", "loss": "✘ loss", "tie": "= tie"}[row["outcome"]] + (" *" if row["changed"] else ""),
            row["benchmark_id"],
            _side(row["a"]),
            _side(row["b"]),
            f"{row['difference']:+.3f}",
        )
        for row in sorted(found["benchmarks"], key=lambda row: row["difference"])
    ]
    lines = [render.table(rows, ("outcome", "benchmark", asked.a, asked.b, "difference"))] if rows else []
    chance = f"a split this uneven by chance: p = {found['sign_test_p']:.2g}"
    names = (("wins", "win", "wins"), ("losses", "loss", "losses"), ("ties", "tie", "ties"))
    several = ", ".join(f"{found[key]} {one if found[key] == 1 else many}" for key, one, many in names)
    counts = f"{several} for {asked.a}" + (f" ({chance})" if found["wins"] or found["losses"] else "")
    lines += ["", render.safe(counts)]
    if found["changed"]:
        lines.append(f"* the newest runs of {len(found['changed'])} differ in whether they succeeded")
    for name, only in ((asked.a, found["only_a"]), (asked.b, found["only_b"])):
        if only:
            lines.append(render.safe(f"only {name} has run: {', '.join(only)}"))
    shell.say(found, "\n".join(lines).strip("\n"))
    return DONE


def flaky(shell: Shell) -> int:
    """Benchmarks that one agent has run with different outcomes, the least steady first."""
    asked = shell.asked
    found = shell.get("/flaky", agent=asked.agent, benchmark_id=asked.benchmark, min_runs=asked.min_runs)
    rows = [
        (f["benchmark_id"], f["agent_type"], f["executions"], _percent(f["success_rate"]), _percent(f["flip_rate"]),
         f["newest"][:20])
        for f in found["items"]
    ]  # fmt: skip
    heads = ("benchmark", "agent", "runs", "success", "flips", "newest first (C F T S)")
    none = f"none: no benchmark that one agent has run {asked.min_runs} times or more ended in different ways"
    shell.say(found, render.table(rows, heads) if rows else none)
    return DONE


def _side(side: dict[str, Any]) -> str:
    score = render.score(side["average_score"]) or "no score"
    return f"{score} ({_percent(side['success_rate'])} of {side['executions']})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _trend(trend: dict[str, Any]) -> str:
    """`80% → 95% ↑`: the success rate of the earlier and of the later half of the agent's time. A few runs are none."""
    if min(half["executions"] for half in trend.values()) < LEAST:
        return ""
    before, after = trend["earlier"]["success_rate"], trend["later"]["success_rate"]
    arrow = next((mark for reach, mark in ARROWS if (after - before) / reach >= 1), "=")
    return f"{_percent(before)} → {_percent(after)} {arrow}"


def _period(shell: Shell) -> dict[str, str | None]:
    return {"since": shell.asked.since, "until": shell.asked.until}


def _whom(sub: ArgumentParser) -> None:
    sub.add_argument("a", metavar="A", help="an agent")
    sub.add_argument("b", metavar="B", help="another agent")
    period(sub)


def _which(sub: ArgumentParser) -> None:
    whose(sub)
    sub.add_argument("--min-runs", type=int, default=2, metavar="N", help="with at least so many runs (default: 2)")


COMMANDS = {
    "agents": Command(agents, period, ("reevctl agents --since 1w",)),
    "compare": Command(compare, _whom, ("reevctl compare glm-4.6 deterministic",)),
    "flaky": Command(flaky, _which, ("reevctl flaky --min-runs 5",)),
}
