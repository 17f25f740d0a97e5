"""The units: each directive that would confine a service is set, or the unit says why it is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness import ROOT

SERVICES = ("reevd.service", "reev-run@.service")
HARDENING = (
    "CapabilityBoundingSet", "IPAddressDeny", "LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges",
    "PrivateDevices", "PrivateIPC", "PrivateMounts", "PrivateNetwork", "PrivateTmp", "PrivateUsers", "ProcSubset",
    "ProtectClock", "ProtectControlGroups", "ProtectHome", "ProtectHostname", "ProtectKernelLogs",
    "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem", "RemoveIPC",
    "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RootDirectory",
    "SystemCallArchitectures", "SystemCallFilter", "UMask", "User",
)  # fmt: skip


def unit(name: str) -> str:
    return (ROOT / "systemd" / name).read_text()


def excused(text: str) -> dict[str, str]:
    """Directives that the unit says are off, each with the reason."""
    told = re.findall(r"^# Off, ([^:]+):((?:.|\n# (?!Off,))+)", text, re.MULTILINE)
    return {name: reason.strip() for names, reason in told for name in re.findall(r"(\w+)=", names)}


@pytest.mark.parametrize("name", SERVICES)
def test_each_directive_is_set_or_excused(name: str) -> None:
    text = unit(name)
    reasons = excused(text)
    given = set(re.findall(r"^(\w+)=", text, re.MULTILINE))
    assert [directive for directive in HARDENING if directive not in given and directive not in reasons] == []
    assert all(len(reason) > 10 for reason in reasons.values())
    assert not [directive for directive in reasons if f"\n{directive}=yes\n" in text]


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_nothing_off_that_the_unit_does_not_excuse(name: str, tmp_path: Path) -> None:
    if (analyze := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed")
    environ = {"PATH": os.environ["PATH"], "DESTDIR": str(tmp_path), "UNITDIR": "/units"}
    subprocess.run([ROOT / "systemd" / "install.sh", "host"], env=environ, check=True)
    command = [analyze, "security", "--offline=true", "--json=short", str(tmp_path / "units" / name)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "--offline" in done.stderr or "--json" in done.stderr:
        pytest.skip(f"this systemd-analyze is too old: {done.stderr}")
    off = {row["name"].partition("=")[0] for row in json.loads(done.stdout) if row["set"] is False}
    assert off
    assert off - excused(unit(name)).keys() == set()
