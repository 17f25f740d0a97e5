"""Commands about the daemon itself and what it knows as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import time
from argparse import ArgumentParser

from reevd.ctl import render
from reevd.ctl.client import UnreachableError
from reevd.ctl.shell import DONE, UNSUCCESSFUL, RefusedError, Shell
from reevd.ctl.usage import Command, no_arguments

MOST_NAMED = 20


def problems(shell: Shell) -> int:
    """Files that cannot be read or are odd."""
    items = list(shell.items("/problems", limit=1000))
    now = time.time()
    rows = [(p["path"], p["kind"], render.age(p["since"], now), p["attempts"], p["message"]) for p in items]
    shell.say(
        {"items": items, "next_cursor": None},
        render.table(rows, ("file", "kind", "since", "tries", "what is wrong")) if rows else "none",
    )
    return DONE


def health(shell: Shell) -> int:
    """How the daemon is."""
    found = shell.get("/health")
    watch, database = found["watch"], found["database"]
    lines = [
        f"{found['status']}: reevd {found['version']}, up {render.span(found['uptime_seconds'])}",
        *(f"  {reason}" for reason in found["reasons"]),
        f"  {watch['path']}: by {watch['mode']}, {watch['pending']} to look at; last scan: {watch['last_rescan_at']}",
        f"  {database['path']}: {database['size_bytes']:,} bytes, log {database['wal_bytes']:,} bytes",
        "  " + ", ".join(f"{count} {name}" for name, count in found["executions"].items()),
    ]
    shell.say(found, "\n".join(lines))
    return DONE


def sync(shell: Shell) -> int:
    """Reads the benchmarks and scans the sessions folder now."""
    found = shell.post("/sync")
    benchmarks, sessions = found["benchmarks"], found["sessions"]
    scanned = render.counted(sessions["scanned"], "file")
    lines = [
        f"benchmarks: {', '.join(f'{benchmarks[name]} {name}' for name in ('inserted', 'updated', 'unchanged'))}",
        *(f"  {failure['path']}: {failure['error']}" for failure in benchmarks["failed"]),
        f"sessions: {scanned}, {sessions['changed']} changed, {sessions['problems']} in trouble",
        f"{found['duration_ms']:.0f} ms",
    ]
    shell.say(found, "\n".join(map(render.safe, lines)))
    return DONE


def prune(shell: Shell) -> int:
    """Removes executions that ended long ago, with their files."""
    body = {"dry_run": shell.asked.dry_run}
    found = shell.post("/prune", body if shell.asked.days is None else {**body, "days": shell.asked.days})
    said = "would go" if found["dry_run"] else "removed"
    what = f"{render.counted(found['executions'], 'execution')}, {render.counted(found['bytes'], 'byte')} of files"
    lines = [f"{what}: {said}, ended before {found['before']}"]
    if found["dry_run"]:
        shown = found["execution_ids"][:MOST_NAMED]
        lines += [f"  {execution_id}" for execution_id in shown]
        if more := found["executions"] - len(shown):
            lines.append(f"  {more:,} more")
    lines += [f"  kept {each['execution_id']}: {each['why']}" for each in found["kept"]]
    if more := found["kept_count"] - len(found["kept"]):
        lines.append(f"  kept {more:,} more")
    shell.say(found, "\n".join(map(render.safe, lines)))
    return DONE


def verify(shell: Shell) -> int:
    """Computes every execution anew from its files, and prints what the database has otherwise: then 1."""
    from reevd import config, log  # it reads the files and the database itself, as no other command does
    from reevd import verify as proof

    settings = config.load(_flags(shell), os.environ)
    log.silence()
    found = proof.verify(settings.sessions_dir, settings.database, settings.writers)
    rows = [(d.execution_id, d.field, render.short(d.stored), render.short(d.computed)) for d in found.differences]
    text = (
        f"{render.counted(found.executions, 'execution')}: the database says of all of them what their files say\n"
        f"{settings.database}, against {settings.sessions_dir}"
    )
    if rows:
        text = render.table(rows, ("execution", "what", "database", "files"))
    shell.say({"executions": found.executions, "differences": [d._asdict() for d in found.differences]}, text)
    return UNSUCCESSFUL if rows else DONE


def _flags(shell: Shell) -> list[str]:
    """Where things are: as given, else as the daemon says that answers, else by the settings.

    Raises UnreachableError, RefusedError where a daemon was named and does not say it.
    """
    names = ("config", "sessions_dir", "database")
    given = {name: value for name in names if (value := getattr(shell.asked, name))}
    if not given and (shell.asked.socket or "REEVD_CONFIG" not in os.environ):
        with contextlib.suppress(*(() if shell.asked.socket else (UnreachableError, RefusedError))):
            found = shell.get("/health")
            given = {"sessions_dir": found["watch"]["path"], "database": found["database"]["path"]}
            given["writers"] = json.dumps(found["watch"]["writers"])
    return [flag for name, value in given.items() for flag in (f"--{name.replace('_', '-')}", value)]


def _places(sub: ArgumentParser) -> None:
    sub.add_argument("--config", metavar="FILE", help="the daemon's settings (REEVD_CONFIG)")
    sub.add_argument("--sessions-dir", metavar="DIR", help="instead of the settings' folder")
    sub.add_argument("--database", metavar="FILE", help="instead of the settings' database")


def _age(sub: ArgumentParser) -> None:
    sub.add_argument("--days", metavar="N", type=float, help="since they ended (default: the setting retention_days)")
    sub.add_argument("--dry-run", action="store_true", help="only say what would go")


COMMANDS = {
    "problems": Command(problems, no_arguments, ("reevctl problems",)),
    "health": Command(health, no_arguments, ("reevctl health --json",)),
    "sync": Command(sync, no_arguments, ("reevctl sync",)),
    "prune": Command(prune, _age, ("reevctl prune --days 90 --dry-run", "reevctl prune --days 90")),
    "verify": Command(verify, _places, ("reevctl verify && echo the database says what the files say",)),
}
