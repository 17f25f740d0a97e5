"""What came of a step, as a branch of a tree: its status, its error and cause, the chain's log, the accounts. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reevd.views import chain_log
from reevd.views.accounts import known
from reevd.views.calls import calls
from reevd.views.cause import cause
from reevd.views.steps import Step
from reevd.views.text import line
from reevd.views.tree import Branch, some

MOST_ACCOUNTS = 100
NAME = 44


def observation(step: Step) -> Branch:
    status = "no status" if step.status is None else line(step.status)
    return Branch(f"OBSERVATION: {status}", _below(step))


def _below(step: Step) -> Iterator[Branch]:
    if step.error is not None:
        yield Branch(f"error: {line(step.error)}", map(Branch, cause(step)))
    if step.logs:
        yield Branch("log", chain_log.branches(calls(step.logs), units=False))
    if held := list(_held(step)):
        width = max(len(name) for name, _ in held)
        lines = (Branch(f"{name:<{width}}  {holds}") for name, holds in held)
        yield Branch("accounts afterwards", some(lines, MOST_ACCOUNTS, "accounts"))


def _held(step: Step) -> Iterator[tuple[str, str]]:
    """Programs are left out: what they hold tells nothing of the run."""
    for name, state in step.accounts.states.items():
        if not (isinstance(state, dict) and state.get("executable") is True):
            token = known(name)
            yield line(name, NAME) + (f" ({token})" if token else ""), ", ".join(step.accounts.holdings(state))
