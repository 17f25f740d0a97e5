"""When the folder is scanned in full, and how far the scan under way has come.

However often one is wanted, scanning takes at most half of the time; the timer alone, at most a tenth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from reevd.agenda import Agenda
from reevd.files import Folder
from reevd.rescan import Rescan
from reevd.store import Store
from reevd.times import SECOND


class Scanned(NamedTuple):
    """The last full scan: when it ended (0: none yet) and the time that its steps took, microseconds; entries."""

    ended_at: int = 0
    took: int = 0
    entries: int = 0


class Survey:
    """done: how many full scans have ended. under_way: whether the next step goes on with one."""

    def __init__(self, done: int = 0) -> None:
        self.done = done
        self.last = Scanned()
        self.wanted = True
        self._scan: Rescan | None = None
        self._not_before = self._latest = self._took = 0

    @property
    def under_way(self) -> bool:
        return self._scan is not None

    @property
    def entries(self) -> int:
        """Of the last full scan; as long as none has ended, how many the one under way has met."""
        return self._scan.scanned if self._scan and not self.last.ended_at else self.last.entries

    def promise(self) -> int:
        """What `done` will have reached when a scan that begins after now has ended."""
        self.wanted = True
        return self.done + (2 if self._scan else 1)

    def restart(self) -> None:
        """What the scan under way has found is void: from the beginning, as soon as can be."""
        self.done += self.under_way  # whoever waits for the scan after this one waits for the next
        self._scan, self.wanted = None, True

    def put_off(self, until: int) -> None:
        """The folder cannot be scanned now: from the beginning, but not before `until`."""
        self.restart()
        self._not_before = until

    def tick(self, now: int, pause: int) -> None:
        """Wants the next scan where the last one is `pause` microseconds old."""
        if self._scan is None:
            self.wanted |= now - self.last.ended_at >= max(pause, 10 * self.last.took)

    def step(
        self,
        folder: Folder,
        store: Store,
        agenda: Agenda,
        now: int,
        *,
        busy: bool,
        asked: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], int],
        until: int,
    ) -> Rescan | None:
        """Goes on, or begins where one is wanted: what it finds is put on the agenda. The scan, once it has ended.

        busy: whether there is much else to do. asked: tells what is looked at just now, as a scan wants to know it
        clock: microseconds, asked after each part of the folder; from `until` on, it is left at that
        """
        began = clock()
        if self._scan is None:
            if not self.wanted or now < max(self._not_before, self.last.ended_at + self.last.took):
                return None
            # One scan after a burst that lost events, and not one after another in it; but none waits for long.
            self._latest = self._latest or now + SECOND
            if busy and now < self._latest:
                return None
            self.wanted, self._latest, self._took = False, 0, 0
            self._scan = Rescan(folder, store, agenda)
        looked_at = asked()
        self._scan.step(looked_at)
        while not self._scan.ended and clock() < until:
            self._scan.step(looked_at)
        agenda.add(*self._scan.take())
        # Not the time between two steps: the process may have been stopped there, and the next scan would wait for it.
        self._took += clock() - began
        return self._scan if self._scan.ended else None

    def end(self, now: int) -> None:
        """What the scan found is stored."""
        if self._scan is not None:
            self.last = Scanned(now, self._took, self._scan.scanned)
            self.done += 1
            self._scan = None
