"""The folder and the watch on it, held together: both anew when the folder was replaced."""

from __future__ import annotations

import os
import select
from typing import NamedTuple

import structlog

from reevd.files import Folder
from reevd.mount import remote
from reevd.names import classify
from reevd.watch import Watch

log = structlog.get_logger("reevd.lookout")


class News(NamedTuple):
    """ids: executions whose files may have changed. odd: names without a valid id. lost: look at everything."""

    ids: set[str]
    odd: list[bytes]
    lost: bool


PREFIXES = (b"session_", b"enhanced_otel_", b"otel_")
NO_NEWS = News(set(), [], lost=False)


class Lookout:
    """`folder` is open for as long as this stands. Events make `poll` (an epoll) ready.

    reason  why it polls, where events cannot be had or do not tell all; None while it watches
    """

    def __init__(self, path: str, poll: select.epoll) -> None:
        self.path, self._poll = path, poll
        self._open()

    def _open(self) -> None:
        os.makedirs(self.path, exist_ok=True)
        self.folder = Folder(self.path)
        self._watch: Watch | None = None
        self.reason: str | None = None
        try:
            self._watch = Watch(self.folder.descriptor)
            self._poll.register(self._watch.descriptor, select.EPOLLIN)
        except OSError as error:
            self.reason = f"inotify cannot be had ({error}): polling instead; see fs.inotify in sysctl"
        if self.reason is None and (kind := remote(self.folder.descriptor)):
            self.reason = f"the sessions folder is on {kind}, where other hosts write unseen: polling too"
        if self.reason:
            log.warning("polling", folder=self.path, reason=self.reason)

    @property
    def watching(self) -> bool:
        """Whether events tell of every change."""
        return self.reason is None

    def take(self) -> News:
        """What happened since the last call."""
        if self._watch is None:
            return NO_NEWS
        names, lost = self._watch.take()
        if not names and not lost:
            return NO_NEWS
        news = News(set(), [], lost)
        for raw in names:
            name = classify(raw) if raw.startswith(PREFIXES) else None
            if name and name.execution_id:
                news.ids.add(name.execution_id)
            elif name:
                news.odd.append(raw)
        return news

    @property
    def blind(self) -> bool:
        """Whether the watch can see no more: the folder was moved, removed or unmounted."""
        return self._watch is not None and not self._watch.alive

    @property
    def sound(self) -> bool:
        """Whether the path still leads to the folder that is open: some ways to replace it cause no event."""
        return self.folder.in_place() and not self.blind

    def reopen(self) -> None:
        """Raises OSError where the folder can be neither found nor made."""
        log.warning("sessions folder was replaced: opening it anew", folder=self.path)
        folder, watch = self.folder, self._watch
        self._open()
        folder.close()
        if watch:
            watch.close()

    def close(self) -> None:
        if self._watch:
            self._watch.close()
        self.folder.close()
