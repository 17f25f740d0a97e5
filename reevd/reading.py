"""What one look at an execution's files finds, and what is known of each file. Records only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reevd.derive import Lock
from reevd.fingerprint import Fingerprint
from reevd.model import Decision, Execution, Problem
from reevd.names import files_of
from reevd.otel_file import Telemetry
from reevd.session_file import Session

RETRY_NS = 500_000_000


class FileRow(NamedTuple):
    """What is known of a file. `mark` is None while the file must be read again."""

    name: str
    fingerprint: Fingerprint
    mark: int | None


class Known(NamedTuple):
    """What stands of some executions: rows and decisions by id, files by name."""

    executions: dict[str, Execution]
    decisions: dict[str, list[Decision]]
    files: dict[str, FileRow]


NOTHING_KNOWN = Known({}, {}, {})


class Part(NamedTuple):
    """One file as it was found; `fingerprint` is None where there is none, or none that may be opened.

    again   nanoseconds until a reading of it counts; 0: there is more to read now; None: this one counted
    """

    name: str
    old: FileRow | None
    fingerprint: Fingerprint | None = None
    again: int | None = None
    problem: Problem | None = None

    @property
    def row(self) -> FileRow | None:
        """What to store of the file; None where that stands already."""
        if self.fingerprint is None:
            return None
        mark = self.fingerprint.mark(self.name) if self.again is None and self.problem is None else None
        row = FileRow(self.name, self.fingerprint, mark)
        return None if row == self.old else row

    @property
    def vanished(self) -> bool:
        return self.fingerprint is None and self.old is not None


def unread(execution_id: str, files: Mapping[str, FileRow], why: str) -> Reading:
    """What is to be thought of files that could not be looked at: they stand as they are known, content unknown."""
    session, *otel = files_of(execution_id)
    parts = []
    for name in (session, next(filter(files.__contains__, otel), otel[0])):
        old = files.get(name)
        parts.append(Part(name, old, old and old.fingerprint, again=RETRY_NS))
    return Reading(why if session in files else None, None, parts[0], parts[1], "unknown", 0)


class Reading(NamedTuple):
    """What both files say. `session` is text where the file cannot be read (why), None where there is none.

    torn_since  since when (microseconds) each reading of the session file fell into a write; 0: this one did not
    """

    session: Session | str | None
    telemetry: Telemetry | None
    session_part: Part
    otel_part: Part
    lock: Lock
    torn_since: int
