"""The command `reev-runner lint FILE...`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.lint import lint
from runner.output import say


def main(argv: Sequence[str]) -> int:
    """0 clean, 1 with findings, 2 usage, or a file that cannot be read: the others are."""
    parser = argparse.ArgumentParser(
        prog="reev-runner lint",
        description="Says what a writer of session and telemetry files does wrong, and what to do about it.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="session_*.json, enhanced_otel_*.jsonl")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each finding")
    asked = parser.parse_args(argv)
    found, unread = 0, 0
    for path in asked.files:
        try:
            findings = lint(path)
        except OSError as error:
            print(f"Error: reading {path}: {error.strerror}\nTry: see its name and its mode", file=sys.stderr)
            unread += 1
            continue
        for each in findings:
            where = f":{each.where}" if each.where else ""
            say(json.dumps(each._asdict()) if asked.json else f"{each.file}{where}: {each.what}\n    fix: {each.fix}")
        found += len(findings)
    if not found and not asked.json:
        say(f"{len(asked.files) - unread} files: nothing to complain of")
    return 2 if unread else 1 if found else 0
