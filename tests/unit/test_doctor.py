"""What the doctor makes of a host that ails: each ailment is named, with a fix that mends it."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reevd import __version__, mount
from reevd.ctl import checkup, doctor, unit
from reevd.ctl.checkup import BAD, CHECKS, GOOD, ODD, Finding, Patient
from reevd.ctl.client import DEFAULTS, Answer, UnreachableError
from reevd.ctl.shell import Shell
from reevd.times import rfc3339

ROOMY = SimpleNamespace(f_bavail=1 << 30, f_frsize=4096, f_files=1000, f_favail=900)


def patient(home: Path, *problems: dict[str, Any], **health: Any) -> Patient:
    """A daemon that is well, but for what is given; this process holds its lock."""
    (home / "reevd.sqlite3.lock").write_text(f"{os.getpid()}\n")
    well = {
        "status": "healthy",
        "reasons": [],
        "version": __version__,
        "timestamp": rfc3339(time.time_ns() // 1000),
        "watch": {"path": str(home), "mode": "inotify"},
        "database": {"path": str(home / "reevd.sqlite3"), "wal_bytes": 0},
    }
    return Patient(str(home / "socket"), {**well, **health}, list(problems))


def found(asked: Patient) -> dict[str, Finding]:
    return {finding.what: finding for check in CHECKS for finding in check(asked)}


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: ROOMY)
    monkeypatch.setattr(checkup, "said", lambda _: None)


def test_one_that_is_well(tmp_path: Path) -> None:
    assert {f.what: f for f in found(patient(tmp_path)).values() if f.verdict != GOOD or f.fix} == {}


@pytest.mark.parametrize(
    ("disk", "verdict", "fix"),
    [
        ({"f_bavail": 1000}, BAD, "remove other files"),
        ({"f_bavail": 100_000}, ODD, "free some space"),
        ({"f_favail": 0}, BAD, "remove other files"),
    ],
)
def test_a_disk(disk: dict[str, int], verdict: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is left, a prune is not the first thing to try: it writes."""
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**{**vars(ROOMY), **disk}))
    for what in ("disk of the database", "disk of the sessions"):
        finding = found(patient(tmp_path))[what]
        assert (finding.verdict, finding.fix.startswith(fix)) == (verdict, True), finding


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    finding = found(patient(tmp_path, {"path": "session_a.json", "kind": "permission"}))["permissions"]
    assert finding.verdict == BAD
    assert f"chmod g+r {tmp_path}/session_a.json" in finding.fix


def test_another_version(tmp_path: Path) -> None:
    finding = found(patient(tmp_path, version="0.0.1"))["versions"]
    assert (finding.verdict, "restart reevd" in finding.fix) == (ODD, True)


def test_another_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = rfc3339(time.time_ns() // 1000 + 60_000_000)
    assert found(patient(tmp_path, timestamp=ahead))["clock"].verdict == BAD
    monkeypatch.setattr(checkup, "said", lambda _: "no")
    assert found(patient(tmp_path))["clock"].fix == "timedatectl set-ntp true"


def test_a_file_system_of_another_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount, "remote", lambda _: "nfs")
    finding = found(patient(tmp_path))["file system"]
    assert (finding.verdict, finding.found) == (BAD, "the database is on nfs")


@pytest.mark.parametrize(("most", "verdict"), [(1024, ODD), (65_536, GOOD)])
def test_open_files_are_told_of_another_users_daemon_too(
    most: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = tmp_path / "limits"
    limits.write_text(f"Limit   Soft Limit   Hard Limit   Units\nMax open files    {most}    524288    files\n")
    monkeypatch.setattr("builtins.open", redirected(f"/proc/{os.getpid()}/limits", limits))
    finding = found(patient(tmp_path))["open files"]
    assert (finding.verdict, finding.found) == (verdict, f"at most {most:,}")


def redirected(path: str, other: Path) -> Callable[..., Any]:
    """`open` as it is, but that one path is another file."""
    real = open
    return lambda name, *rest, **more: real(other if name == path else name, *rest, **more)


def diagnose(
    asked: Callable[[str], Answer], path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What `reevctl doctor` prints, of a daemon that answers like this on that socket."""
    shell = Shell(Namespace(socket=path, json=False))
    monkeypatch.setattr(shell.client, "get", asked)
    monkeypatch.setattr(doctor, "said", lambda _: "deterministic")
    doctor.doctor(shell)
    return capsys.readouterr().out


def silent(_: str) -> Answer:
    raise UnreachableError("Connection refused")


def answering(asked: Patient, metrics: str = "") -> Callable[[str], Answer]:
    def answer(path: str) -> Answer:
        if path == "/metrics":
            return Answer(200, metrics.encode())
        return Answer(
            200, json.dumps(asked.health if path.endswith("/health") else {"items": [], "next_cursor": None}).encode()
        )

    return answer


Asked = tuple[pytest.MonkeyPatch, pytest.CaptureFixture[str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    return monkeypatch, capsys


def test_few_watches_are_told(tmp_path: Path, asked: Asked) -> None:
    few = tmp_path / "few"
    few.write_text("16\n")
    asked[0].setattr("builtins.open", redirected("/proc/sys/fs/inotify/max_queued_events", few))
    said = diagnose(answering(patient(tmp_path)), "socket", *asked)
    assert "! inotify max_queued_events: 16\n    fix: sysctl fs.inotify.max_queued_events=16384\n" in said


def test_the_reasons_of_a_degraded_daemon_are_no_fix(tmp_path: Path, asked: Asked) -> None:
    said = diagnose(answering(patient(tmp_path, status="degraded", reasons=["storing fails"])), "socket", *asked)
    first, second = said.splitlines()[:2]
    assert first.startswith("✘ daemon: degraded on")
    assert first.endswith(": storing fails")
    assert second == "    fix: what is marked below; `journalctl -u reevd` says more"


def test_units_that_systemd_has_given_up(asked: Asked) -> None:
    asked[0].setattr(unit, "said", lambda command: "start-limit-hit" if "Result" in command else "failed")
    said = diagnose(silent, DEFAULTS[1], *asked)
    assert "systemd has given up reevd.service and reevd.socket (start-limit-hit)" in said
    assert "systemctl reset-failed reevd.service reevd.socket && systemctl restart reevd.socket reevd" in said
    asked[0].setattr(unit, "said", lambda _: None)
    assert "systemctl start reevd" in diagnose(silent, DEFAULTS[1], *asked)


FIGURES = """reevd_feed_sent_total{follower="forward"} 3.0
reevd_feed_failed_total{follower="forward"} 7.0
reevd_feed_waiting{follower="forward"} %s
"""


def test_what_cannot_be_forwarded(tmp_path: Path, asked: Asked) -> None:
    asked[0].setattr(unit, "said", lambda _: "yes")
    well = answering(patient(tmp_path), FIGURES % "0.0")
    assert "✔ feed forward: 0 outcomes wait, 3 were told, 7 attempts failed\n" in diagnose(well, DEFAULTS[1], *asked)
    ill = answering(patient(tmp_path), FIGURES % "2.0")
    said = diagnose(ill, DEFAULTS[1], *asked)
    assert "! feed forward: 2 outcomes wait, 3 were told, 7 attempts failed\n    fix: the unit has no network" in said
    assert "fix: journalctl -u reevd says why" in diagnose(ill, str(tmp_path / "socket"), *asked)


def test_nobody_is_told_to_join_roots_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.os, "access", lambda *_: False)
    folder = found(patient(tmp_path))["sessions folder"]
    assert ("usermod" in folder.fix) == (os.stat(tmp_path).st_gid != 0)
    assert "usermod -aG 4242 " in checkup.joining(4242)
    assert "usermod" not in checkup.joining(0)
