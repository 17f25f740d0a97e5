"""Commands about executions."""

from __future__ import annotations

import sys
import time

from reevd.ctl import render
from reevd.ctl.client import part
from reevd.ctl.shell import DONE, TIMED_OUT, UNSUCCESSFUL, RefusedError, Shell
from reevd.ctl.usage import Command, columns, filters, one_id, seconds

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence

FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5


def status(shell: Shell) -> int:
    """One execution, or how all of them stand."""
    if shell.asked.id:
        return show(shell)
    health, newest = shell.get("/health"), shell.get("/executions", limit=10)
    counts = "  ".join(f"{count} {name}" for name, count in health["executions"].items() if count)
    lines = [f"{health['status']}: {counts or 'no executions yet'}", *(f"  {reason}" for reason in health["reasons"])]
    if health["problems"]:
        lines.append(f"{render.counted(health['problems'], 'file')} in trouble: see `reevctl problems`")
    if newest["items"]:
        lines += ["", render.executions(newest["items"], time.time())]
    if (more := sum(health["executions"].values()) - len(newest["items"])) > 0:
        lines.append(f"{more:,} more: reevctl list")
    shell.say({"health": health, "newest": newest["items"]}, "\n".join(lines))
    return DONE


def show(shell: Shell) -> int:
    """Everything about one execution."""
    found = shell.get(f"/executions/{part(shell.asked.id)}")
    shell.say(found, render.execution(found, time.time()))
    return DONE


def list_(shell: Shell) -> int:
    """Executions, newest first, as filtered."""
    asked = shell.asked
    names = ("status", "agent", "since", "until", "min_score", "max_score", "text", "limit", "cursor")
    page = shell.get("/executions", benchmark_id=asked.benchmark, **{name: getattr(asked, name) for name in names})
    width = columns() if sys.stdout.isatty() else None
    text = render.executions(page["items"], time.time(), why=asked.why, width=width)
    if page["next_cursor"]:
        text += f"\n\nmore: --cursor {page['next_cursor']}"
    shell.say(page, text)
    return DONE


def wait(shell: Shell) -> int:
    """Waits until every execution has ended: 0 where all are Completed.

    With --timeout, an id that is not known yet is waited for too.
    """
    return wait_for(shell, shell.asked.id, shell.asked.timeout)


def wait_for(shell: Shell, execution_ids: Sequence[str], timeout: float | None) -> int:
    """Waits so many seconds at most, and prints each end as it comes; the exit status."""
    ends = None if timeout is None else time.monotonic() + timeout
    waiting, worst, pause = dict.fromkeys(execution_ids), DONE, FIRST_PAUSE
    while waiting:
        for execution_id in list(waiting):
            try:
                found = shell.get(f"/executions/{part(execution_id)}")
            except RefusedError as error:
                if error.status != 404 or ends is None:
                    raise
                continue
            if found["status"] not in ("Queued", "Running"):
                del waiting[execution_id]
                shell.say(found, render.end(found))
                worst = max(worst, DONE if found["status"] == "Completed" else UNSUCCESSFUL)
        if waiting:
            if ends is not None and time.monotonic() >= ends:
                print(f"Error: still waiting for {render.safe(', '.join(waiting))}", file=sys.stderr)
                return TIMED_OUT
            time.sleep(pause if ends is None else max(0.0, min(pause, ends - time.monotonic())))
            pause = min(pause * 1.5, LONGEST_PAUSE)
    return worst


def history(shell: Shell) -> int:
    """The states that an execution went through, and why."""
    steps = shell.array(f"/executions/{part(shell.asked.id)}/history")
    rows = [(step["at"], render.status(step["status"]), step["reason"]) for step in steps]
    shell.say(steps, render.table(rows, ("at", "status", "why")))
    return DONE


def tools(shell: Shell) -> int:
    """The tool calls of an execution."""
    from reevd.views.text import parameters  # it loads what no other command needs

    calls = shell.array(f"/executions/{part(shell.asked.id)}/tool-calls", limit=1000)
    rows = [
        (
            n,
            c["tool_name"],
            c["status"],
            render.milliseconds(c["duration_ms"]),
            parameters(c["params"]),
        )
        for n, c in enumerate(calls, 1)
    ]
    shell.say(calls, render.table(rows, ("#", "tool", "status", "ms", "parameters")) if rows else "none")
    return DONE


def _page(sub: ArgumentParser) -> None:
    filters(sub)
    sub.add_argument("--why", action="store_true", help="also why each is as it is, where it is not Completed")
    sub.add_argument("--limit", type=int, default=100, help="at most so many, 1000 at most (default: 100)")


def _maybe_one_id(sub: ArgumentParser) -> None:
    sub.add_argument("id", nargs="?", help="execution id; without it, all of them in short")


def _ids(sub: ArgumentParser) -> None:
    sub.add_argument("id", nargs="+", help="execution ids")
    sub.add_argument("--timeout", type=seconds, metavar="SECONDS", help="give up after so long: exit status 124")


COMMANDS = {
    "status": Command(
        status,
        _maybe_one_id,
        (
            "reevctl status",
            "reevctl status my-run",
        ),
    ),
    "list": Command(
        list_,
        _page,
        (
            "reevctl list --status failed --since 2d --why",
            "reevctl list --since 2026-01-31T00:00:00Z --until yesterday",
            "reevctl list --agent glm-4.6 --max-score 0.5 --json",
        ),
    ),
    "show": Command(show, one_id, ("reevctl show my-run",)),
    "wait": Command(wait, _ids, ("reevctl wait my-run other-run --timeout 600 && echo all Completed",)),
    "history": Command(history, one_id, ("reevctl history my-run",)),
    "tools": Command(tools, one_id, ("reevctl tools my-run",)),
}
