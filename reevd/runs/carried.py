"""A runner that a porter carries: started for the daemon by systemd, outside of the daemon's sandbox."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from reevd.runs.process import ending

PACKET = 1 << 20


class Carried:
    """One runner at the other end of a connection. Never waits: what the porter says is heard in `ended`.

    Ready for reading, as a descriptor, when there is something to hear.
    """

    def __init__(self, end: socket.socket, command: Sequence[str], environ: Mapping[str, str], stderr: int) -> None:
        self._end, self._stderr = end, os.dup(stderr)
        self._order = orjson.dumps({"command": list(command), "environment": dict(environ)})
        self._heard: dict[str, Any] = {}
        self._asked: signal.Signals | None = None
        self._gone = False

    def fileno(self) -> int:
        return self._end.fileno()

    @property
    def pid(self) -> int | None:
        """None until the porter has started it."""
        return self._heard.get("pid")

    @property
    def ended(self) -> bool:
        while not self._gone:
            try:
                packet = self._end.recv(PACKET)
            except BlockingIOError:
                break
            except ConnectionError:
                packet = b""
            self._gone = not packet
            said = orjson.loads(packet) if packet else {}
            self._heard |= said
            if "ready" in said:
                self._hand_over()
            elif "pid" in said and self._asked is not None:
                self.signal(self._asked)
        return self._gone or "status" in self._heard or "error" in self._heard

    def _hand_over(self) -> None:
        try:
            socket.send_fds(self._end, [self._order], [self._stderr])
        except OSError:
            self._gone = True

    def signal(self, number: signal.Signals) -> None:
        """To all of its group; where it is not yet started, once it is."""
        self._asked = number
        if self.pid is not None and not self._gone:
            try:
                self._end.send(orjson.dumps({"signal": int(number)}))
            except OSError:
                self._gone = True

    def close(self) -> str:
        """Once it has ended: how, in words."""
        self._end.close()
        os.close(self._stderr)
        if "error" in self._heard:
            return f"its runner could not be started: {self._heard['error']}"
        if "status" in self._heard:
            return ending(self._heard["status"])
        return "its runner was ended with the unit that carried it"


def carry(path: str, command: Sequence[str], environ: Mapping[str, str], stderr: int) -> Carried:
    """Has the porter that listens on `path` start the runner. Raises OSError where none listens there."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PACKET)
        end.connect(path)
        return Carried(end, command, environ, stderr)
    except BaseException:
        end.close()
        raise
