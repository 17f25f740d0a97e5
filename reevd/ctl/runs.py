"""Commands that start and end runs."""

from __future__ import annotations

import time
import uuid
from argparse import ArgumentParser
from typing import Any

from reevd.ctl import executions, render
from reevd.ctl.client import part
from reevd.ctl.shell import DONE, RefusedError, Shell
from reevd.ctl.usage import Command, case_id, one_id, seconds
from reevd.errors import ConfigError


def run(shell: Shell) -> int:
    """Has the daemon run a benchmark; with --wait, until it has ended: 0 where it is Completed."""
    asked = shell.asked
    if asked.timeout is not None and not asked.wait:
        hint = "--wait too; or --run-timeout, which is for the run itself"
        raise ConfigError("reading", "--timeout", "it is for waiting, and nothing is waited for", hint)
    config = {"rpc_url": asked.rpc_url} if asked.rpc_url else None
    # The id is chosen here: by it, a question that is asked once more is known for the same one.
    execution_id = asked.id or str(uuid.uuid4())
    body = {"agent": asked.agent, "config": config, "timeout_seconds": asked.run_timeout, "execution_id": execution_id}
    found = _queue(shell, {name: value for name, value in body.items() if value is not None})
    if not asked.wait:
        shell.say(found, found["execution_id"])
        return DONE
    return executions.wait_for(shell, [found["execution_id"]], asked.timeout)


def _queue(shell: Shell, body: dict[str, Any]) -> Any:
    """The answer of `run`; or, where it was lost and the execution is the one, what it would have been."""
    began = int(time.time())  # some runners tell their beginning in whole seconds
    try:
        path = f"/benchmarks/{part(shell.asked.benchmark)}/run"
        return shell.post(path, body, seen_by=f"reevctl show {body['execution_id']}")
    except RefusedError as refusal:
        if refusal.status != 409 or not refusal.again:
            raise
        found = shell.get(f"/executions/{part(body['execution_id'])}")
        same = (found["benchmark_id"], found["agent"]) == (shell.asked.benchmark, body["agent"])
        if not same or render.seconds(found["created_at"]) < began:
            raise
        return {"execution_id": found["execution_id"], "status": found["status"]}


def stop(shell: Shell) -> int:
    """Stops an execution; a runner that reevd started is ended."""
    found = shell.get(f"/executions/{part(shell.asked.id)}")
    try:
        path = f"/benchmarks/{part(found['benchmark_id'])}/stop/{part(shell.asked.id)}"
        stopped = shell.post(path, seen_by=f"reevctl show {shell.asked.id}")
    except RefusedError as refusal:
        if refusal.status != 409 or not refusal.again or found["status"] == "Stopped":
            raise
        stopped = shell.get(f"/executions/{part(shell.asked.id)}")
        if stopped["status"] != "Stopped":
            raise
    # It says too where the runner is none of the daemon's, and goes on.
    ended = f"{render.status(stopped['status'])}  {render.safe(stopped['execution_id'])}"
    shell.say(stopped, f"{ended}\n  why   {render.safe(stopped['reason'])}")
    return DONE


def _what(sub: ArgumentParser) -> None:
    sub.add_argument("benchmark", type=case_id, help="benchmark id, such as 001-sol-transfer, or the path of its case")
    sub.add_argument("--agent", default="deterministic", help="who plays it (default: deterministic)")
    sub.add_argument("--id", help="execution id (default: a fresh one)")
    sub.add_argument("--rpc-url", metavar="URL", help="a chain to run on (default: the runner's own)")
    sub.add_argument("--run-timeout", type=seconds, metavar="SECONDS", help="how long the run may take (default: 300)")
    sub.add_argument("--wait", action="store_true", help="until it has ended")
    sub.add_argument("--timeout", type=seconds, metavar="SECONDS", help="of --wait: no longer than so; exit status 124")


COMMANDS = {
    "run": Command(
        run,
        _what,
        (
            "reevctl run 001-sol-transfer",
            "reevctl run 001-sol-transfer --agent local --wait --timeout 600",
        ),
    ),
    "stop": Command(stop, one_id, ("reevctl stop my-run",)),
}
