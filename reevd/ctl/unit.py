"""What systemd, and the figures of the feed, say of a daemon under the installed units; each with the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reevd.ctl.checkup import BAD, GOOD, ODD, Finding, said
from reevd.ctl.client import DEFAULTS, UnreachableError
from reevd.ctl.shell import Shell

UNITS = ("reevd.service", "reevd.socket")
START_ANEW = f"systemctl reset-failed {' '.join(UNITS)} && systemctl restart reevd.socket reevd"
NETWORK = (
    "systemctl edit reevd: [Service], PrivateNetwork=no, IPAddressDeny=, RestrictAddressFamilies=AF_INET AF_INET6;"
    " then systemctl restart reevd"
)
FIGURES = re.compile(r'^reevd_feed_(waiting|failed_total|sent_total)\{follower="(\w+)"\} (\S+)$', re.MULTILINE)


def failed(socket: str) -> Finding | None:
    """Of units that systemd has given up; None where it has not, or another daemon is asked."""
    states = {unit: said(["systemctl", "show", "--value", "-p", "ActiveState", unit]) for unit in UNITS}
    down = [unit for unit, state in states.items() if state == "failed"]
    if socket not in DEFAULTS or not down:
        return None
    why = said(["systemctl", "show", "--value", "-p", "Result", UNITS[0]]) or "unknown"
    fix = f"mend what `journalctl -u reevd -n 20` says, then as root: {START_ANEW}"
    return Finding("daemon", BAD, f"systemd has given up {' and '.join(down)} ({why})", fix)


def feed(shell: Shell) -> Iterator[Finding]:
    """Whether what ends reaches those who are to be told. Nothing where nobody is."""
    try:
        text = shell.client.get("/metrics").text.decode()
    except UnreachableError:
        return
    told = {(follower, name): float(value) for name, follower, value in FIGURES.findall(text)}
    for follower in sorted({follower for follower, _ in told}):
        waiting, attempts, sent = (told.get((follower, name), 0) for name in ("waiting", "failed_total", "sent_total"))
        found = f"{waiting:,.0f} outcomes wait, {sent:,.0f} were told, {attempts:,.0f} attempts failed"
        if not (waiting and attempts):
            yield Finding(f"feed {follower}", GOOD, found)
            continue
        apart = said(["systemctl", "show", "--value", "-p", "PrivateNetwork", UNITS[0]]) == "yes"
        on_host = shell.client.path == DEFAULTS[-1]
        fix = f"the unit has no network: {NETWORK}" if apart and on_host else "journalctl -u reevd says why they failed"
        yield Finding(f"feed {follower}", ODD, found, fix)
