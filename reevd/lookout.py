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
# Ticks after which events are asked for again where they could not be had: a limit was raised, or others let go.
UNWATCHED_TICKS = 20

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
        self._missing = self._unwatched = 0
        self._fresh = False
        os.makedirs(self.path, exist_ok=True)
        self._open()

    def _open(self) -> None:
        """Raises OSError; all is as before then."""
        folder = Folder(self.path)
        try:
            self._remote = remote(folder.descriptor)
        except OSError:
            folder.close()
            raise
        self.folder, self._in_place = folder, True
        self._watch: Watch | None = None
        self._begin_watching()
        if self.reason:
            log.warning("polling", folder=self.path, reason=self.reason)

    def _begin_watching(self) -> None:
        self.reason: str | None = None
        try:
            watch = Watch(self.folder.descriptor)
        except OSError as error:
            self.reason = f"inotify cannot be had ({error}): polling instead; see fs.inotify in sysctl"
            return
        try:
            self._poll.register(watch.descriptor, select.EPOLLIN)
        except OSError as error:
            watch.close()
            self.reason = f"nobody can wait for events ({error}): polling instead; see fs.epoll in sysctl"
            return
        self._watch = watch
        if self._remote:
            self.reason = f"the sessions folder is on {self._remote}, where other hosts write unseen: polling too"

    @property
    def watching(self) -> bool:
        """Whether events tell of every change."""
        return self.reason is None

    def check(self) -> None:
        """Looks whether the path still leads to the folder that is open: some ways to replace it cause no event."""
        self._in_place = self.folder.in_place()
        self._missing = 0 if os.path.lexists(self.path) else self._missing + 1
        self._unwatched = 0 if self._watch else self._unwatched + 1
        if self._unwatched == UNWATCHED_TICKS:
            self._unwatched = 0
            self._begin_watching()
            if self._watch:
                self._fresh = True
                log.info("watching again", folder=self.path)

    def take(self) -> News:
        """What happened since the last call. A folder that was replaced is opened anew."""
        names, lost = self._watch.take() if self._watch else (set[bytes](), False)
        if not self._in_place or (self._watch and not self._watch.alive):
            return self._reopen()  # what the old folder told no longer counts
        fresh, self._fresh = self._fresh, False  # what happened before there was a watch, no event told
        if not names and not lost and not fresh:
            return NO_NEWS
        self.losses += lost
        news = News(set(), set(), [], lost or fresh)
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
