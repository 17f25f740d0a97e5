"""The command that looks at everything that has ever kept a reevd from working, and says how to mend it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from reevd.ctl import render, unit
from reevd.ctl.checkup import BAD, CHECKS, GOOD, ODD, Finding, Patient, joining, said
from reevd.ctl.client import UnreachableError
from reevd.ctl.shell import DONE, UNSUCCESSFUL, RefusedError, Shell
from reevd.ctl.usage import Command, no_arguments

MARKS = {GOOD: "✔", ODD: "!", BAD: "✘"}
INOTIFY = {"max_queued_events": 16_384, "max_user_instances": 128}


def doctor(shell: Shell) -> int:
    """Checks permissions, limits, inotify, the disk, the clock, the lock and versions, each with the fix.

    Exit status 1 where something is bad. What is only odd is told.
    """
    health: dict[str, Any] = {}
    problems: list[dict[str, Any]] = []
    refusal = ""
    try:
        health = shell.get("/health")
        problems = list(shell.items("/problems", limit=1000))
    except (UnreachableError, RefusedError) as error:
        refusal = str(error)
    patient = Patient(shell.client.path, health, problems)
    findings = [_answers(patient, f"{shell.asked_on()}: {refusal}")]
    if health:
        findings += [finding for check in CHECKS for finding in check(patient)]
        findings += unit.feed(shell)
    findings += [*_inotify(), _runner()]
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.verdict]} {finding.what}: {finding.found}")
        lines += [f"    fix: {finding.fix}"] if finding.fix else []
    shell.say([f._asdict() for f in findings], "\n".join(map(render.safe, lines)))
    return UNSUCCESSFUL if any(f.verdict == BAD for f in findings) else DONE


def _answers(patient: Patient, refusal: str) -> Finding:
    if patient.health:
        status = patient.health["status"]
        found = f"{status} on {patient.socket}"
        if status == "healthy":
            return Finding("daemon", GOOD, found)
        reasons = "; ".join(patient.health["reasons"])
        return Finding("daemon", BAD, f"{found}: {reasons}", "what is marked below; `journalctl -u reevd` says more")
    if (given_up := unit.failed(patient.socket)) is not None:
        return given_up
    if os.path.exists(patient.socket) and not os.access(patient.socket, os.R_OK | os.W_OK):
        fix = joining(os.stat(patient.socket).st_gid)
        return Finding("daemon", BAD, f"{patient.socket}: permission denied", fix)
    fix = "start it: systemctl start reevd, or `reevd` in a checkout; or name its socket with --socket or REEVD_SOCKET"
    return Finding("daemon", BAD, refusal, fix)


def _inotify() -> Iterator[Finding]:
    for name, least in INOTIFY.items():
        with contextlib.suppress(OSError), open(f"/proc/sys/fs/inotify/{name}") as file:
            value = int(file.read())
            fix = f"sysctl fs.inotify.{name}={least}" if value < least else ""
            yield Finding(f"inotify {name}", ODD if fix else GOOD, f"{value:,}", fix)


def _runner() -> Finding:
    places = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
    path = shutil.which("reev-runner", path=places)
    if path is None:
        return Finding("runner", ODD, "no reev-runner is installed here", "install it where benchmarks are to be run")
    agents = said([path, "--list-agents"])
    if agents is None:
        return Finding("runner", BAD, f"{path} does not work", f"{path} --list-agents says why")
    return Finding("runner", GOOD, f"{path}; agents: {', '.join(agents.split())}")


COMMANDS = {"doctor": Command(doctor, no_arguments, ("reevctl doctor", "sudo reevctl doctor --json"))}
