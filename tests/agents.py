"""Agents of the tests, beside the runner's own: `python -m tests.agents` is the real runner with them."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from runner.agents import AGENTS, Agents, Move, Task, Toolbox
from runner.case import Case
from runner.cli import main

USER = "USER_WALLET_PUBKEY"


def look(tools: Toolbox) -> None:
    tools.call("get_account_balance", {"pubkey": USER})


def play(case: Case, task: Task, tools: Toolbox) -> Move:
    return AGENTS["deterministic"]().act(case, task, tools)


class Patient:
    """Goes on when a byte or the end comes on stdin, twice."""

    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        look(tools)
        os.read(0, 1)
        tools.call("get_account_balance", {"pubkey": "NOBODY"})
        tools.call("no_such_tool", {})
        os.read(0, 1)
        return play(case, task, tools)


class Busy:
    """Swallows whatever comes of its calls."""

    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        while True:
            try:
                look(tools)
            except Exception:  # noqa: BLE001
                continue


class Clumsy:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        look(tools)
        tools.call("sol_transfer", {"user_pubkey": USER, "amount": "100000000"})
        return Move(())


class Squeezed:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the stub fitted in, the result will not
        return play(case, task, tools)


class Idle:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        return Move(())


class Broken:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        known: dict[str, Move] = {}
        return known["the agent's mistake"]


class Dies:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        if case.id.startswith("003"):
            os.kill(os.getpid(), signal.SIGKILL)
        return play(case, task, tools)


class Hangs:
    """Leaves a mark in the sessions folder, as the environment names it, and does nothing for a minute."""

    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        Path(os.environ["REEV_SESSIONS_DIR"], f"began-{os.getpid()}").touch()
        time.sleep(60)
        return Move(())


class Slow:
    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        time.sleep(1)
        return play(case, task, tools)


class Stuck:
    """Takes a minute for the prompt `step 1`."""

    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        if task.prompt == "step 1":
            time.sleep(60)
        return play(case, task, tools)


OURS: list[Any] = [Patient, Busy, Clumsy, Squeezed, Idle, Broken, Dies, Hangs, Slow, Stuck]
EVERY: Agents = {**AGENTS, **{each.__name__.lower(): each for each in OURS}}

if __name__ == "__main__":
    sys.exit(main(agents=EVERY))
