"""What can be seen of a daemon that answers: folder, disk, log, clock, lock, limits; each with the fix."""

from __future__ import annotations

import contextlib
import grp
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apsw

from reevd import __version__, mount
from reevd.ctl import render
from reevd.room import BIG_LOG, LEAST_BYTES
from reevd.times import from_rfc3339

GOOD, ODD, BAD = "good", "odd", "bad"
LOW_BYTES = 2 << 30
FILES = 4096
SKEW_SECONDS = 2.0
COMMAND_SECONDS = 20


class Finding(NamedTuple):
    """`fix` says what to do; empty where all is well."""

    what: str
    verdict: str
    found: str
    fix: str = ""


class Patient(NamedTuple):
    """What the daemon says of itself; empty where none answers. `pid` is 0 where it cannot be seen."""

    socket: str
    health: dict[str, Any]
    problems: list[dict[str, Any]]

    @property
    def sessions(self) -> str:
        return str(self.health["watch"]["path"]) if self.health else ""

    @property
    def database(self) -> str:
        return str(self.health["database"]["path"]) if self.health else ""

    @property
    def pid(self) -> int:
        with contextlib.suppress(OSError, ValueError), open(f"{self.database}.lock") as file:
            return int(file.read())
        return 0


def _versions(patient: Patient) -> Iterator[Finding]:
    theirs = patient.health["version"]
    same = theirs == __version__
    fix = "" if same else "restart the daemon after an upgrade: systemctl restart reevd"
    found = (
        f"reevctl {__version__}, reevd {theirs}, Python {sys.version.split()[0]}, SQLite {apsw.sqlite_lib_version()}"
    )
    yield Finding("versions", GOOD if same else ODD, found, fix)


def _folder(patient: Patient) -> Iterator[Finding]:
    folder = patient.sessions
    try:
        status = os.stat(folder)
    except OSError as error:
        fix = f"mkdir -p {folder}, or see the setting sessions_dir"
        yield Finding("sessions folder", ODD if error.errno == 13 else BAD, f"{folder}: {error.strerror}", fix)
        return
    mode = stat.filemode(status.st_mode)
    if status.st_mode & stat.S_IWOTH:
        fix = f"chmod o-w {folder}, where not everybody is to: who runs benchmarks joins its group"
        yield Finding("sessions folder", ODD, f"{folder} ({mode}): everybody on this host can invent results", fix)
    elif os.access(folder, os.W_OK | os.X_OK):
        yield Finding("sessions folder", GOOD, f"{folder} ({mode}): you may leave sessions there")
    else:
        fix = f"{joining(status.st_gid)}, where you are to run benchmarks"
        yield Finding("sessions folder", ODD, f"{folder} ({mode}): you may not write there", fix)
    unreadable = [p["path"] for p in patient.problems if p["kind"] == "permission"]
    if unreadable:
        fix = f"chmod g+r {folder}/{unreadable[0]}; or give the folder a default ACL, as tmpfiles.d/reevd.conf does"
        yield Finding("permissions", BAD, f"{render.counted(len(unreadable), 'file')} cannot be read by reevd", fix)
    others = len(patient.problems) - len(unreadable)
    if others:
        yield Finding("files", ODD, f"{render.counted(others, 'file')} in trouble", "reevctl problems")


def _watch(patient: Patient) -> Iterator[Finding]:
    mode = patient.health["watch"]["mode"]
    if mode == "inotify":
        yield Finding("watch", GOOD, "by inotify")
    else:
        yield Finding("watch", ODD, f"by {mode}: changes are seen late", "; ".join(patient.health["reasons"]))


def _disk(patient: Patient) -> Iterator[Finding]:
    places = {"disk of the database": os.path.dirname(patient.database), "disk of the sessions": patient.sessions}
    for what, path in places.items():
        try:
            disk = os.statvfs(path)
        except OSError as error:
            yield Finding(what, ODD, f"{path}: {error.strerror}", "ask as root, or as the daemon's own user")
            continue
        free = disk.f_bavail * disk.f_frsize
        found = f"{free >> 20:,} MiB free at {path}"
        fix = "free some space; reevctl prune --days N --dry-run says what old executions hold"
        # To remove an execution takes room in the database and its journal.
        full = f"remove other files from {path} first, for a prune needs room itself; then reevctl prune --days N"
        if path == patient.sessions:
            fix, full = (f"{text}; setquota -u bounds what each user leaves there" for text in (fix, full))
        if disk.f_files and not disk.f_favail:
            yield Finding(what, BAD, f"no inode is free at {path}", full)
        elif free < LEAST_BYTES:
            yield Finding(what, BAD, found, full)
        else:
            yield Finding(what, ODD if free < LOW_BYTES else GOOD, found, fix if free < LOW_BYTES else "")


def _log(patient: Patient) -> Iterator[Finding]:
    size = patient.health["database"]["wal_bytes"]
    big = size > BIG_LOG
    fix = "some program holds a transaction open: find it with `lsof` on the database, and end it" if big else ""
    yield Finding("write-ahead log", ODD if big else GOOD, f"{size >> 20:,} MiB", fix)


def _file_system(patient: Patient) -> Iterator[Finding]:
    with contextlib.suppress(OSError):
        kind = mount.remote_at(os.path.dirname(patient.database))
        if kind:
            fix = "move it to a local disk with the setting database: SQLite's locks and log need one"
            yield Finding("file system", BAD, f"the database is on {kind}", fix)


def _clock(patient: Patient) -> Iterator[Finding]:
    skew = abs(time.time() - (from_rfc3339(patient.health["timestamp"]) or 0) / 1e6)
    if skew > SKEW_SECONDS:
        fix = "one of the two runs with another clock: see containers and time namespaces"
        yield Finding("clock", BAD, f"the daemon's is {skew:.0f} s away from yours", fix)
        return
    synced = said(["timedatectl", "show", "--value", "--property=NTPSynchronized"])
    if synced == "no":
        yield Finding("clock", ODD, "it is not synchronized", "timedatectl set-ntp true")
    else:
        yield Finding("clock", GOOD, "synchronized" if synced == "yes" else "as the daemon's")


def _lock(patient: Patient) -> Iterator[Finding]:
    pid = patient.pid
    if not pid:
        yield Finding("lock", ODD, "it cannot be read", "ask as root, or as the daemon's own user")
    elif os.path.exists(f"/proc/{pid}"):
        yield Finding("lock", GOOD, f"held by process {pid}")
        yield from _limits(pid)
    else:
        fix = "two daemons, or two views of one folder (containers): let only one use the database"
        yield Finding("lock", BAD, f"process {pid}, which holds it, is not there", fix)


def _limits(pid: int) -> Iterator[Finding]:
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/limits") as file:
        soft = int(next((line.split()[3] for line in file if line.startswith("Max open files")), ""))
        if soft < FILES:
            yield Finding("open files", ODD, f"at most {soft:,}", f"LimitNOFILE={FILES} or more in the unit")
        else:
            yield Finding("open files", GOOD, f"at most {soft:,}")


def said(command: list[str]) -> str | None:
    """What the command prints; None where it cannot be had."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def joining(gid: int) -> str:
    """How to become a member of the group. Nobody is told to join root's: it is the daemon that is to have another."""
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        name = str(gid)
    if gid == 0:
        return "run the daemon as yourself, or install it on the host, for a group (README: On a host)"
    return f"usermod -aG {name} {os.environ.get('USER', 'YOU')}, and log in anew"


CHECKS: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    _versions, _folder, _watch, _disk, _log, _file_system, _clock, _lock,
)  # fmt: skip
