"""Commands that start and end runs."""

from __future__ import annotations

from argparse import ArgumentParser

from reevd.ctl import executions, render
from reevd.ctl.client import part
from reevd.ctl.shell import DONE, Shell
from reevd.ctl.usage import Command, one_id


def run(shell: Shell) -> int:
    """Has the daemon run a benchmark; with --wait, until it has ended: 0 where it is Completed."""
    asked = shell.asked
    config = {"rpc_url": asked.rpc_url} if asked.rpc_url else None
    body = {"agent": asked.agent, "config": config, "timeout_seconds": asked.run_timeout, "execution_id": asked.id}
    wanted = {name: value for name, value in body.items() if value is not None}
    found = shell.post(f"/benchmarks/{part(asked.benchmark)}/run", wanted)
    if not asked.wait:
        shell.say(found, found["execution_id"])
        return DONE
    return executions.wait_for(shell, [found["execution_id"]], asked.timeout)


def stop(shell: Shell) -> int:
    """Stops an execution; a runner that reevd started is ended."""
    found = shell.get(f"/executions/{part(shell.asked.id)}")
    stopped = shell.post(f"/benchmarks/{part(found['benchmark_id'])}/stop/{part(shell.asked.id)}")
    shell.say(stopped, f"{render.MARKS['Stopped']} {stopped['status']}  {render.safe(stopped['execution_id'])}")
    return DONE


def _what(sub: ArgumentParser) -> None:
    sub.add_argument("benchmark", help="benchmark id, such as 001-sol-transfer")
    sub.add_argument("--agent", default="deterministic", help="who plays it (default: deterministic)")
    sub.add_argument("--id", help="execution id (default: a fresh one)")
    sub.add_argument("--rpc-url", metavar="URL", help="a chain to run on (default: the runner's own)")
    sub.add_argument("--run-timeout", type=float, metavar="SECONDS", help="how long the run may take (default: 300)")
    sub.add_argument("--wait", action="store_true", help="until it has ended")
    sub.add_argument("--timeout", type=float, metavar="SECONDS", help="wait no longer than so: exit status 124")


COMMANDS = {
    "run": Command(
        run,
        _what,
        (
            "reevctl run 001-sol-transfer",
            "reevctl run 001-sol-transfer --agent local --wait --timeout 600",
        ),
    ),
    "stop": Command(stop, one_id, ("reevctl stop 3f0c",)),
}
