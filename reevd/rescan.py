"""A full scan of the folder, in slices: every file that is not known to be clean is news, but for those that wait for
their second look, and those that are looked at just now.

Start-up, an overflow, a replaced folder and the timer are all answered by this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from reevd.agenda import Agenda
from reevd.files import Folder
from reevd.model import Problem
from reevd.names import EXECUTION_ID, classify, printable
from reevd.store import Store

# Files are stamped with the time of the kernel's last tick, of which there are 100 a second or more.
TICK_NS = 10_000_000


class Rescan:
    """`step` until `ended`. What it found is to be taken after each step; `odd` holds names without a valid id."""

    def __init__(self, folder: Folder, store: Store, agenda: Agenda) -> None:
        self.scanned = 0
        self.ended = False
        self._found, self._sessions = list[str](), list[str]()
        self.odd: dict[str, Problem] = {}
        self._folder, self._store, self._agenda = folder, store, agenda
        self._unseen = store.marks()
        # Read once, and to be read again at their time: no news, while they are as they were read.
        self._unsettled = store.unsettled()
        self._awaited = self._await(self._unsettled)
        self._change = store.change
        self._met: set[int] = set()
        self._parts = folder.scan()

    def step(self, asked: Mapping[str, int]) -> None:
        """Looks at the next entries; once there are none, finds what is gone too.

        asked: executions that are looked at just now, with when that began, nanoseconds of the host's clock
        """
        part = next(self._parts, None)
        if part is None:
            self._finish()
            self.ended = True
            return
        names, marks = part
        self.scanned += len(names)
        if self._unseen.issuperset(marks):  # nearly always
            self._unseen.difference_update(marks)
            return
        clean = self._unseen.intersection(marks)
        self._unseen -= clean
        self._catch_up()
        met = self._awaited.intersection(marks)
        self._met |= self._unsettled.keys() & set(marks)
        if len(clean) + len(met) < len(marks):
            for name, mark in zip(names, marks, strict=True):
                if mark not in clean and mark not in met:
                    self._note(os.fsencode(name), asked)

    def _catch_up(self) -> None:
        """Who was stored since it began was looked at since: that look knows as much as a scan."""
        if self._store.change != self._change:
            clean, unsettled = self._store.read_since(self._change)
            self._awaited |= clean | self._await(unsettled)
            self._change = self._store.change

    def _await(self, unsettled: Mapping[int, str]) -> set[int]:
        agenda = self._agenda
        return {mark for mark, name in unsettled.items() if _id(name) in agenda} if len(agenda) else set()

    def take(self) -> tuple[list[str], list[str]]:
        """The executions found since the last call, and those of which only the session file was met."""
        found = self._found, self._sessions
        self._found, self._sessions = [], []
        return found

    def _note(self, raw: bytes, asked: Mapping[str, int]) -> None:
        name = classify(raw)
        if name is None:
            return
        if name.execution_id is not None:
            # Every look reads the session file; that there is telemetry, it may not know.
            began = asked.get(name.execution_id) if name.kind == "session" else None
            if began and self._older(name.file, began - TICK_NS):
                return  # that look sees it as it is
            (self._sessions if name.kind == "session" else self._found).append(name.execution_id)
        else:
            self.odd[name.file] = odd_name(raw)

    def _older(self, file: str, stamp: int) -> bool:
        try:
            found = self._folder.fingerprint(file)
        except OSError:
            return False
        return found is not None and found.ctime_ns < stamp

    def _finish(self) -> None:
        """Clean files that were not seen are gone or changed; so may be those that were never clean."""
        missing = self._store.names_of(self._unseen) if self._unseen else []
        unsettled = [name for mark, name in self._unsettled.items() if mark not in self._met]
        self._found.extend(ids((*missing, *unsettled, *self._store.problem_paths())))
        self._found.extend(self._store.undecided())
        self._unseen = set()


def odd_name(raw: bytes) -> Problem:
    """The problem of a file whose name looks like one of ours and holds no valid id."""
    message = f"the id in its name must match {EXECUTION_ID.pattern}: rename the file"
    return Problem(printable(raw), None, "name", message)


def ids(names: Iterable[str]) -> list[str]:
    """The executions that these files belong to."""
    return [execution_id for name in names if (execution_id := _id(name))]


def _id(name: str) -> str | None:
    found = classify(os.fsencode(name))
    return found and found.execution_id
