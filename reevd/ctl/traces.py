"""Commands about what a run did: its trace, and the logs of its transactions."""

from __future__ import annotations

import re
from argparse import ArgumentParser

from reevd.ctl import render
from reevd.ctl.client import part
from reevd.ctl.shell import DONE, Shell
from reevd.ctl.usage import Command, one_id

GREEN, RED, CYAN, BOLD = 32, 31, 36, 1
PAINTS = (
    (re.compile(r"(?<!\S)✔(?!\S)"), GREEN),
    (re.compile(r"(?<!\S)[✘⏱](?!\S)"), RED),
    (re.compile(r"(?<!\S)▶(?!\S)"), CYAN),
    (re.compile(r"^[ │]*[├└]─ (?:why|error|failed): .*$", re.MULTILINE), RED),
    (re.compile(r"(?<=─ )(?:Step \d+|ACTION|OBSERVATION|THOUGHT)\b"), BOLD),
)


def trace(shell: Shell) -> int:
    """What a run did, step by step, and why it ended as it did."""
    found = shell.get(f"/execution-logs/{_benchmark(shell)}", execution_id=shell.asked.id)
    shell.say(found, _lines(found["trace"]), paint)
    return DONE


def transactions(shell: Shell) -> int:
    """The logs of a run's transactions: which program called which, and what they said."""
    asked = shell.asked
    path = f"/transaction-logs/{_benchmark(shell)}"
    units = "true" if asked.cu else None
    found = shell.get(path, execution_id=asked.id, format=asked.format, show_cu=units)
    shell.say(found, _lines(found["transaction_logs"]) or f"none: {render.safe(found['message'])}", paint)
    return DONE


def paint(text: str, *, wanted: bool) -> str:
    """Marks, headings and errors coloured."""
    for pattern, number in PAINTS if wanted else ():
        text = pattern.sub(lambda found, n=number: f"\033[{n}m{found[0]}\033[0m", text)  # type: ignore[misc]
    return text


def _benchmark(shell: Shell) -> str:
    """The benchmark of an execution, as part of a path: logs are asked for by benchmark."""
    return part(shell.get(f"/executions/{part(shell.asked.id)}")["benchmark_id"])


def _lines(text: str) -> str:
    """The lines as they are, and nothing in them that a terminal could act on."""
    return "\n".join(map(render.safe, text.split("\n")))


def _format(sub: ArgumentParser) -> None:
    one_id(sub)
    sub.add_argument("--format", choices=("yaml", "plain"), default="yaml", help="default: yaml")
    sub.add_argument("--cu", action="store_true", help="show the compute units that each call consumed")


COMMANDS = {
    "trace": Command(trace, one_id, ("reevctl trace my-run | less -R",)),
    "transactions": Command(
        transactions,
        _format,
        (
            "reevctl transactions my-run --cu",
            "reevctl transactions my-run --format plain",
        ),
    ),
}
