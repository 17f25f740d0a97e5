"""The first boot of a host with reevd: installed, used by its users, broken in each way that systemd is there for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

from tests.harness import wait_until
from tests.host.inside import CASES, SESSIONS, STATE, ask, configure, report, sh

BURST = 4_000
UNITS = ("reevd.service", "reevd.socket", "reev-run.socket", "reev-run@.service")
WAITING = """#!/bin/sh
case "$*" in *--list-agents*) echo deterministic; exit;; esac
echo "sk-$SECRET_KEY and no result" >&2
while [ ! -e /var/log/reevd/sessions/.go ]; do sleep 0.05; done
exec reev-runner "$@"
"""


def units_verify() -> str:
    assert not sh("systemd-analyze verify " + " ".join(f"/etc/systemd/system/{unit}" for unit in UNITS))
    return "systemd-analyze verify: nothing to say"


def sandboxes_are_tight() -> str:
    said = [sh(f"systemd-analyze security {unit} --threshold=15 | tail -n 1") for unit in UNITS[:1] + UNITS[3:]]
    return "\n".join(said)


def is_ready_once_everything_was_read() -> str:
    assert ask("reevd", "ActiveState") == "active"
    assert "0 executions, 0 under way, 0 problems" in ask("reevd", "StatusText")
    assert ask("reevd", "Type") == "notify"
    return ask("reevd", "StatusText")


def the_socket_is_for_the_group() -> str:
    said = sh("stat -c '%A %U %G' /run/reevd/reevd.sock /run/reevd/run.sock")
    assert said.split("\n") == ["srw-rw---- reevd reev", "srw------- reevd reevd"], said
    return said


def the_doctor_finds_nothing_bad() -> str:
    """Root sees all; a member too, but for what is the daemon's own."""
    for user in ("", "alice"):
        found = {f["what"]: f for f in json.loads(sh("reevctl --json doctor", user=user))}
        assert not [f for f in found.values() if f["verdict"] == "bad"], found
        assert {"daemon", "runner", "watch", "versions"} <= found.keys()
    assert json.loads(sh("reevctl --json doctor"))[0]["verdict"] == "good"
    return sh("reevctl doctor")


def users_of_the_group_run_and_ask_from_a_plain_shell() -> str:
    sh("useradd -m -G reev alice; useradd -m -G reev carol; useradd -m bob")
    sh(f"umask 077; reev-runner {CASES}/001-sol-transfer.yml --execution-id of-alice --quiet", user="alice")
    said = sh("reevctl wait of-alice && reevctl list", user="carol")
    mode = oct((SESSIONS / "session_of-alice.json").stat().st_mode & 0o7777)
    return f"umask 077, session file {mode}\n{said}"


def others_can_neither_ask_nor_write() -> str:
    refused = sh("reevctl health", user="bob", status=3)
    sh(f"touch {SESSIONS}/session_bob.json", user="bob", status=1)
    sh(f"rm -f {SESSIONS}/session_of-alice.json", user="carol", status=1)
    assert (SESSIONS / "session_of-alice.json").exists()
    return refused


def members_read_and_only_the_admin_group_runs() -> str:
    refused = sh("reevctl run 001-sol-transfer --wait", user="alice", status=None)
    assert "alice" in refused or "may not" in refused, refused
    sh("useradd -m -G reev,reev-admin dora")
    Path("/etc/reevd/reevd.yaml").write_text("admin_group: reev-admin\n")
    sh("systemctl restart reevd")
    return f"{refused}\n" + sh("reevctl run 003-spl-transfer-fail --wait --id of-dora", user="dora", status=1)


def a_question_starts_it_from_cold() -> str:
    sh("systemctl stop reevd")
    assert ask("reevd", "ActiveState") == "inactive"
    began = time.monotonic()
    said = sh("reevctl status of-alice")
    took = time.monotonic() - began
    wait_until(lambda: ask("reevd", "ActiveState") == "active", "it is ready")
    return f"{said}\nanswered after {took:.2f} s"


def kill_and_wait() -> None:
    """kill -9 of the main process alone: `systemctl kill` reads the whole control group, in which a process that is
    ending makes it fail on some kernels (an id of 0: EIO)."""
    before = ask("reevd", "MainPID")
    sh(f"kill -9 {before}")
    wait_until(lambda: ask("reevd", "MainPID") not in (before, "0"), "systemd starts it again")
    wait_until(lambda: ask("reevd", "ActiveState") == "active", "it is ready again")


def killed_with_questions_under_way_it_answers_them_all() -> str:
    loop = "for i in $(seq 60); do reevctl --json status of-alice >/dev/null || echo LOST $?; done"
    asking = subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE, text=True)
    kills = 0
    try:
        while asking.poll() is None and kills < 3:
            kill_and_wait()
            kills += 1
        said, _ = asking.communicate(timeout=60)
    finally:
        asking.kill()
        sh("systemctl reset-failed reevd")  # the next checks have their own restarts to make
    assert not said, said
    return f"60 questions, {kills} kill -9, all answered; restarts counted: {ask('reevd', 'NRestarts')}"


def a_hung_loop_is_restarted_by_the_watchdog() -> str:
    configure("reevd.service", "[Service]\nWatchdogSec=2\n")
    sh("systemctl restart reevd")
    pid = ask("reevd", "MainPID")
    sh(f"kill -STOP {pid}")
    wait_until(lambda: ask("reevd", "MainPID") not in (pid, "0"), "the watchdog restarts it")
    said = sh("reevctl wait of-alice")
    configure("reevd.service", "")
    log = sh("journalctl -u reevd -b --no-pager -o cat | grep -i watchdog | tail -n 1")
    assert "atchdog" in log
    return f"{log}\n{said}"


def reloads_its_settings() -> str:
    Path("/etc/reevd/reevd.yaml").write_text("admin_group: reev-admin\nmax_running: 1\n")
    sh("systemctl reload reevd")
    said = "journalctl -u reevd -b --no-pager -o cat | grep 'settings read anew' || true"
    line = wait_until(lambda: sh(said), "it tells that it has read them")  # the signal is sent, and no more, by then
    wait_until(lambda: ask("reevd", "ActiveState") == "active", "it is done with reloading")
    good = Path("/etc/reevd/reevd.yaml").read_text()
    Path("/etc/reevd/reevd.yaml").write_text("max_runnning: 1\n")
    sh("systemctl reload reevd")
    told = wait_until(lambda: "old settings" in (now := ask("reevd", "StatusText")) and now, "the status says so")
    Path("/etc/reevd/reevd.yaml").write_text(good)
    sh("systemctl reload reevd")
    wait_until(lambda: "old settings" not in ask("reevd", "StatusText"), "and that they are in force")
    wait_until(lambda: ask("reevd", "ActiveState") == "active", "it is done with reloading")
    return f"{line}\n{told}"


def settings_that_cannot_be_used_are_no_reason_to_try_again() -> str:
    good = Path("/etc/reevd/reevd.yaml").read_text()
    Path("/etc/reevd/reevd.yaml").write_text("max_runnning: 1\n")
    try:
        sh("systemctl restart reevd", status=1)
        assert (ask("reevd", "ActiveState"), ask("reevd", "ExecMainStatus")) == ("failed", "2")
        said = sh("journalctl -u reevd -b --no-pager -o cat | grep max_runnning | tail -n 1")
        sh("timeout 20 reevctl status of-alice", user="alice", status=None)  # it starts it, again and again
        wait_until(lambda: ask("reevd.socket", "ActiveState") == "failed", "systemd gives up the socket too")
        told = sh("reevctl doctor", status=1)
    finally:
        Path("/etc/reevd/reevd.yaml").write_text(good)
    (fix,) = re.findall("then as root: (systemctl .*)", told)
    sh(fix)
    return f"{said}\n{told}\n" + sh("reevctl status of-alice", user="alice")


def what_fails_again_and_again_stays_down_until_a_person_starts_it() -> str:
    program = Path("/usr/local/bin/reevd")
    good = program.read_text()
    sh("systemctl reset-failed reevd")  # none of the starts before counts
    program.write_text("#!/bin/sh\nexit 1\n")
    began = time.monotonic()
    try:
        sh("systemctl restart reevd", status=1)
        wait_until(lambda: ask("reevd", "ActiveState") == "failed", "systemd gives it up")
        took = time.monotonic() - began
    finally:
        program.write_text(good)
    assert (ask("reevd", "NRestarts"), ask("reevd", "ExecMainStatus")) == ("10", "1")
    assert ask("reevd.socket", "Result") == "service-start-limit-hit"
    refused = sh("systemctl start reevd", status=1)  # though by now it could start
    log = sh("journalctl -u reevd -b --no-pager -o cat | grep 'repeated too quickly' | tail -n 1")
    sh("systemctl reset-failed reevd.socket reevd; systemctl start reevd.socket reevd")
    said = sh("reevctl status of-alice", user="alice")
    return f"{log} ({took:.1f} s)\n{refused}\n{said}"


def a_backup_is_put_back() -> str:
    began = sh("reevctl backup /root/copy")
    sh(f"reev-runner {CASES}/001-sol-transfer.yml --execution-id later --quiet", user="alice")
    sh("reevctl wait later")
    sh("systemctl stop reevd.socket reevd")
    said = sh(f"reevd restore /root/copy --database {STATE}/reevd.sqlite3")
    sh("systemctl start reevd.socket reevd")
    return f"{began}\n{said}\n" + sh("reevctl wait later && reevctl status of-alice && reevctl verify")


def an_upgrade_brings_new_cases_and_keeps_what_the_host_changed() -> str:
    new, mine = Path(f"{CASES}/900-new.yml"), STATE / "benchmarks" / "001-sol-transfer.yml"
    new.write_text(Path(f"{CASES}/001-sol-transfer.yml").read_text().replace("001-sol-transfer", "900-new"))
    mine.write_text(mine.read_text() + "# of this host\n")
    sh("umask 077; /usr/local/src/reevd/systemd/install.sh activate")
    assert mine.read_text().endswith("# of this host\n")
    new.unlink()
    said = sh("reevctl benchmarks", user="alice")
    assert "900-new" in said, said
    return said


def a_run_outlives_the_daemons_restart() -> str:
    slow = Path("/usr/local/bin/slow-runner")
    slow.write_text(WAITING)
    slow.chmod(0o755)
    configure("reevd.service", "[Service]\nEnvironment=REEVD_RUNNER=/usr/local/bin/slow-runner SECRET_KEY=thirty-two\n")
    sh("systemctl restart reevd")
    sh("reevctl run 001-sol-transfer --id long")
    runner = wait_until(lambda: sh("pgrep -f [e]xecution-id=long", status=None).split(), "the runner runs")[0]
    sh("systemctl restart reevd")
    kill_and_wait()
    assert os.path.exists(f"/proc/{runner}"), "the runner ended with the daemon"
    unit = Path(f"/proc/{runner}/cgroup").read_text().strip()
    (SESSIONS / ".go").touch()
    said = sh("reevctl wait long --timeout 20")
    (SESSIONS / ".go").unlink()
    return f"{unit.rpartition('/')[2]}\n{said}"


def a_run_is_stopped_and_one_that_dies_is_seen() -> str:
    sh("reevctl run 001-sol-transfer --id stopped")
    wait_until(lambda: sh("pgrep -f [e]xecution-id=stopped", status=None), "the runner runs")
    sh("reevctl stop stopped")
    wait_until(lambda: not sh("pgrep -f [e]xecution-id=stopped", status=None), "the runner is gone")
    sh("reevctl run 001-sol-transfer --id dies")
    runner = wait_until(lambda: sh("pgrep -f [e]xecution-id=dies", status=None).split(), "the runner runs")[0]
    sh(f"kill -9 {runner}")
    sh("reevctl wait dies --timeout 10", status=1)
    found = json.loads(sh("reevctl --json show dies"))
    assert found["status"] == "Failed"
    assert "[SECRET_KEY] and no result" in found["error_message"], found
    configure("reevd.service", "")
    sh("systemctl restart reevd")
    return found["error_message"]


def a_full_disk_is_told_and_survived() -> str:
    sh("systemctl stop reevd reevd.socket")
    sh(f"mount -t tmpfs -o size=3m,mode=0750,uid=$(id -u reevd),gid=$(id -g reevd) small {STATE}")
    sh("systemd-tmpfiles --create /etc/tmpfiles.d/reevd.conf; systemctl start reevd.socket reevd")
    sh(f"dd if=/dev/zero of={STATE}/filler bs=4k 2>/dev/null", status=None)
    sh(f"reev-runner {CASES} --quiet", user="alice", status=None)
    degraded = wait_until(lambda: "degraded" in (said := sh("reevctl health")) and said, "health says so")
    (STATE / "filler").unlink()
    wait_until(lambda: sh("reevctl health").startswith("healthy"), "it heals by itself", seconds=20)
    said = sh("reevctl verify")
    sh(f"systemctl stop reevd reevd.socket; umount {STATE}; systemctl start reevd.socket reevd")
    return f"{degraded}\n...\n{said}"


def a_burst_is_read_by_a_second_process() -> str:
    """Which the sandbox lets it have."""
    sh("systemctl stop reevd reevd.socket")
    final = {"success": True, "score": 1.0, "status": "Succeeded"}
    for number in range(BURST):
        document = {"session_id": f"burst-{number}", "start_time": 1_760_000_000, "final_result": final}
        (SESSIONS / f"session_burst-{number}.json").write_text(json.dumps(document))
    sh("systemctl start --no-block reevd.socket reevd")
    scout = wait_until(lambda: sh("pgrep -f '[r]eevd.scout'", status=None), "a second process reads")
    last = f"burst-{BURST - 1}"
    said = sh(f"reevctl wait {last} && reevctl status {last}")
    wait_until(lambda: not sh("pgrep -f '[r]eevd.scout'", status=None), "it ends when there is nothing left to do")
    assert "reading ahead failed" not in sh("journalctl -u reevd -b --no-pager -o cat")
    return f"{said}\nread by {scout}"


def nothing_was_lost() -> str:
    return sh("reevctl status of-alice && reevctl verify")


if __name__ == "__main__":
    sh("/usr/local/src/reevd/systemd/install.sh activate")
    report(
        [
            units_verify,
            sandboxes_are_tight,
            is_ready_once_everything_was_read,
            the_socket_is_for_the_group,
            users_of_the_group_run_and_ask_from_a_plain_shell,
            the_doctor_finds_nothing_bad,
            others_can_neither_ask_nor_write,
            members_read_and_only_the_admin_group_runs,
            a_question_starts_it_from_cold,
            killed_with_questions_under_way_it_answers_them_all,
            a_hung_loop_is_restarted_by_the_watchdog,
            reloads_its_settings,
            settings_that_cannot_be_used_are_no_reason_to_try_again,
            what_fails_again_and_again_stays_down_until_a_person_starts_it,
            a_backup_is_put_back,
            an_upgrade_brings_new_cases_and_keeps_what_the_host_changed,
            a_run_outlives_the_daemons_restart,
            a_run_is_stopped_and_one_that_dies_is_seen,
            a_full_disk_is_told_and_survived,
            a_burst_is_read_by_a_second_process,
            nothing_was_lost,
        ]
    )
