"""The command that writes executions, or tool calls, into a file for other programs."""

from __future__ import annotations

import contextlib
import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from reevd.ctl import render, sheets
from reevd.ctl.shell import DONE, USAGE, Shell
from reevd.ctl.usage import Command, count, filters

WHAT = {"executions": ("/executions", sheets.EXECUTIONS), "tool-calls": ("/tool-calls", sheets.TOOL_CALLS)}
PAGE = 1000


def export(shell: Shell) -> int:
    """Executions, or their tool calls, as CSV, JSON Lines or Parquet; newest first."""
    asked = shell.asked
    form = asked.format or ("jsonl" if asked.json else "csv")
    if form == "parquet" and asked.output is None and sys.stdout.isatty():
        print("Error: Parquet is nothing for a terminal\nTry: -o FILE", file=sys.stderr)
        return USAGE
    path, columns = WHAT[asked.what]
    rows: Iterator[dict[str, Any]] = islice(_rows(shell, path), asked.limit)
    first = list(islice(rows, 1))  # asked for before anything is written: it may be refused
    rows = chain(first, rows)
    if asked.output is None:
        _write(form, rows, columns, sys.stdout.fileno())
        return DONE
    torn = f"{asked.output}.tmp"
    try:
        count = _write(form, rows, columns, os.open(torn, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
        os.replace(torn, asked.output)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(torn)
        raise
    print(f"{render.counted(count, asked.what.removesuffix('s').replace('-', ' '))} in {asked.output}", file=sys.stderr)
    return DONE


def _rows(shell: Shell, path: str) -> Iterator[dict[str, Any]]:
    """All pages. What comes while they are read is newer than the first of them, and so in none."""
    asked = shell.asked
    names = ("status", "agent", "since", "until", "min_score", "max_score", "text", "cursor")
    wanted = {"benchmark_id": asked.benchmark, **{name: getattr(asked, name) for name in names}}
    return shell.items(path, limit=min(PAGE, asked.limit or PAGE), **wanted)


def _write(form: str, rows: Iterable[dict[str, Any]], columns: dict[str, str], descriptor: int) -> int:
    keep = descriptor == sys.stdout.fileno()
    if form == "parquet":
        with open(descriptor, "wb", closefd=not keep) as file:
            return sheets.to_parquet(rows, columns, file)
    with open(descriptor, "w", encoding="utf-8", newline="", closefd=not keep) as text:
        return (sheets.to_csv if form == "csv" else sheets.to_jsonl)(rows, columns, text)


def _how(sub: ArgumentParser) -> None:
    sub.add_argument("--format", choices=("csv", "jsonl", "parquet"), help="default: csv; with --json, jsonl")
    sub.add_argument("--what", choices=tuple(WHAT), default="executions", help="default: executions")
    sub.add_argument("-o", "--output", metavar="FILE", help="write it there, whole or not at all (default: stdout)")
    filters(sub)
    sub.add_argument("--limit", type=count, metavar="N", help="at most so many (default: all)")


COMMANDS = {
    "export": Command(
        export,
        _how,
        (
            "reevctl export -o runs.csv",
            "reevctl export --what tool-calls --format parquet -o calls.parquet --agent glm-4.6",
        ),
    )
}
