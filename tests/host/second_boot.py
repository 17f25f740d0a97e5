"""The second boot of the same host: what the first one left stands, and it can be removed."""

from __future__ import annotations

from pathlib import Path

from tests.harness import wait_until
from tests.host.inside import STATE, ask, report, sh


def after_a_reboot_it_is_there_with_all_it_knew() -> str:
    wait_until(lambda: ask("reevd", "ActiveState") == "active", "it is ready")
    return sh("reevctl status of-alice", user="alice") + "\n" + sh("reevctl verify")


def uninstalled_it_leaves_the_results() -> str:
    said = sh("/usr/local/src/reevd/systemd/install.sh remove")
    assert not Path("/etc/systemd/system/reevd.service").exists()
    assert not Path("/usr/local/bin/reevctl").exists()
    assert (STATE / "reevd.sqlite3").exists()
    return said


if __name__ == "__main__":
    report([after_a_reboot_it_is_there_with_all_it_knew, uninstalled_it_leaves_the_results])
