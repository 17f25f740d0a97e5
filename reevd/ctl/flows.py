"""The command that shows a run's flow."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser

from reevd.ctl.client import part
from reevd.ctl.render import safe
from reevd.ctl.shell import DONE, USAGE, Shell
from reevd.ctl.usage import Command, one_id


def flow(shell: Shell) -> int:
    """The flow of a run as a Mermaid diagram, or as a page that draws it without any network."""
    asked = shell.asked
    path = f"/flows/{part(asked.id)}"
    form = "json" if asked.json else asked.format
    if form == "html" and asked.output is None and sys.stdout.isatty():
        print("Error: writing 2.6 MB of HTML to a terminal helps nobody\nTry: -o flow.html", file=sys.stderr)
        return USAGE
    text = f"{json.dumps(shell.get(path), ensure_ascii=False)}\n" if form == "json" else shell.text(path, format=form)
    if asked.output is None:
        sys.stdout.write("\n".join(map(safe, text.split("\n"))) if form == "mermaid" else text)
        return DONE
    torn = f"{asked.output}.tmp"
    with open(torn, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(torn, asked.output)
    return DONE


def _how(sub: ArgumentParser) -> None:
    one_id(sub)
    sub.add_argument("--format", choices=("mermaid", "html", "json"), default="mermaid", help="default: mermaid")
    sub.add_argument("-o", "--output", metavar="FILE", help="write it there instead")


COMMANDS = {
    "flow": Command(
        flow,
        _how,
        (
            "reevctl flow my-run",
            "reevctl flow my-run --format html -o flow.html",
        ),
    )
}
