"""The porter: carries one run for the daemon, outside of the daemon's sandbox, and outlives it.

systemd starts one for each connection to its socket, `python -m reevd.runs.porter` with the connection as
stdin. Each packet is a JSON object. It says `{"ready": true}`; gets `{"command", "environment"}` and, with that
packet, the descriptor of the runner's stderr; says `{"pid"}`, or `{"error"}` and ends; takes `{"signal"}`; says
`{"status"}`, as `subprocess` counts it, once the runner has ended. A daemon that goes away is not waited for.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import Any

import orjson

from reevd.runs.process import Process, start

PACKET = 1 << 20


def main() -> int:
    """Exit status: 0 carried to its end, or nothing to carry; 1 the runner could not be started."""
    end = socket.socket(fileno=os.dup(0))
    _say(end, {"ready": True})
    order, descriptors, _, _ = socket.recv_fds(end, PACKET, 1)
    # A daemon that has died since will ask the next porter: the run must not be started by both.
    if not order or not descriptors or not _open(end):
        return 0
    try:
        asked = orjson.loads(order)
        process = start(asked["command"], asked["environment"], descriptors[0])
    except OSError as error:
        _say(end, {"error": error.strerror})
        return 1
    finally:
        os.close(descriptors[0])
    _say(end, {"pid": process.pid})
    _say(end, {"status": _carry(end, process)})
    return 0


def _carry(end: socket.socket, process: Process) -> int:
    """Passes on the signals that come, until the runner has ended. Its exit status."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(end, select.POLLIN)
    while not process.ended:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if end.fileno() in ready:
            packet = end.recv(PACKET) if _open(end) else b""
            if packet:
                process.signal(signal.Signals(orjson.loads(packet)["signal"]))
            else:
                poll.unregister(end)
    return process.status()


def _open(end: socket.socket) -> bool:
    """Whether somebody is still at the other end."""
    try:
        return end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def _say(end: socket.socket, packet: dict[str, Any]) -> None:
    try:
        end.send(orjson.dumps(packet), socket.MSG_NOSIGNAL)
    except OSError as error:  # the daemon was restarted, and finds the runner by its mark
        print(f"nobody hears {packet}: {error.strerror}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
