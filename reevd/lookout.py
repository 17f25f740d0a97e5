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

# Ticks that a folder may be missing before it is made anew: whoever swaps it for another needs its name to be free.
MISSING_TICKS = 10

log = structlog.get_logger("reevd.lookout")


class News(NamedTuple):
    """ids: executions whose files may have changed; sessions: those of which it can be but the session file.

    odd: names without a valid id. lost: look at everything. replaced: it is another folder than before, and nothing
    that was known of the old one counts
    """

    ids: set[str]
    sessions: set[str]
    odd: list[bytes]
    lost: bool = False
    replaced: bool = False


PREFIXES = (b"session_", b"enhanced_otel_", b"otel_")
NO_NEWS = News(set(), set(), [])


class Lookout:
    """`folder` is open for as long as this stands. Events make `poll` (an epoll) ready.

    reason  why it polls, where events cannot be had or do not tell all; None while it watches
    losses  how many times events were lost
    """

    def __init__(self, path: str, poll: select.epoll) -> None:
        self.path, self._poll, self.losses = path, poll, 0
        self._missing = 0
        os.makedirs(self.path, exist_ok=True)
        self._open()

    def _open(self) -> None:
        self.folder = Folder(self.path)
        self._in_place = True
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

    def check(self) -> None:
        """Looks whether the path still leads to the folder that is open: some ways to replace it cause no event."""
        self._in_place = self.folder.in_place()
        self._missing = 0 if os.path.lexists(self.path) else self._missing + 1

    def take(self) -> News:
        """What happened since the last call. A folder that was replaced is opened anew."""
        names, lost = self._watch.take() if self._watch else (set[bytes](), False)
        if not self._in_place or (self._watch and not self._watch.alive):
            return self._reopen()  # what the old folder told no longer counts
        if not names and not lost:
            return NO_NEWS
        self.losses += lost
        news = News(set(), set(), [], lost)
        for raw in names:
            name = classify(raw) if raw.startswith(PREFIXES) else None
            if name and name.execution_id:
                (news.sessions if name.kind == "session" else news.ids).add(name.execution_id)
            elif name and self.folder.has(raw):
                news.odd.append(raw)
        return news

    def _reopen(self) -> News:
        folder, watch = self.folder, self._watch
        try:
            if self._missing > MISSING_TICKS:
                os.makedirs(self.path, exist_ok=True)
            self._open()
        except OSError as error:
            self.reason = f"the sessions folder cannot be opened: {error}"
            return NO_NEWS
        log.warning("sessions folder was replaced: opened anew", folder=self.path)
        folder.close()
        if watch:
            watch.close()
        return News(set(), set(), [], lost=True, replaced=True)

    def close(self) -> None:
        if self._watch:
            self._watch.close()
        self.folder.close()
