"""What systemd is told, and what it hands over. Nothing happens where there is no systemd."""

from __future__ import annotations

import contextlib
import os
import socket

FIRST_DESCRIPTOR = 3


def tell(**fields: str) -> None:
    """Sends `READY="1"` and the like. A host whose systemd cannot be reached must not stop the daemon."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    address = "\0" + address[1:] if address.startswith("@") else address
    text = "\n".join(f"{name}={' '.join(value.splitlines())}" for name, value in fields.items())
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end:
        end.sendto(text.encode(errors="replace"), address)


def watchdog_seconds() -> float | None:
    """How often systemd wants a sign of life; None where it wants none."""
    micros = os.environ.get("WATCHDOG_USEC", "")
    return (
        int(micros) / 1e6
        if micros.isdigit() and os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        else None
    )


def handed_over() -> socket.socket | None:
    """The listening socket of the .socket unit, if this process was started for one."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS", "0") == "0":
        return None
    os.set_inheritable(FIRST_DESCRIPTOR, False)
    return socket.socket(fileno=FIRST_DESCRIPTOR)
