"""What a look changes in the database. Records only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from reevd.model import Decision, Execution, Problem, ToolCall
from reevd.names import files_of
from reevd.reading import FileRow

Row = tuple[Any, ...]
"""The values of a statement, in the order of the table's columns."""


class Calls(NamedTuple):
    """The tool calls of an execution from index `start` on; what stood there is replaced."""

    start: int
    calls: Sequence[ToolCall]

    def rows(self, execution_id: str) -> list[Row]:
        """As rows of tool_calls."""
        return [(execution_id, number, *call) for number, call in enumerate(self.calls, self.start)]


class Change(NamedTuple):
    """All that one look at an execution changes. None and empty mean: stays as it is.

    `decisions` and `archive` (a row whose result must outlive its file) go to the journal first.
    """

    execution_id: str
    execution: Execution | None = None
    calls: Calls | None = None
    files: tuple[FileRow, ...] = ()
    gone: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    solved: tuple[str, ...] = ()
    decisions: tuple[Decision, ...] = ()
    archive: Execution | None = None

    @property
    def file_rows(self) -> list[Row]:
        """The files, as rows of that table."""
        return [(file.name, *file.fingerprint, file.mark) for file in self.files]

    @property
    def stamp(self) -> int:
        """When the newest of its files was changed last, nanoseconds. There must be one."""
        return max([file.fingerprint.ctime_ns for file in self.files])


class FirstLooks(NamedTuple):
    """What first looks found, as the database and the journal take it: to hand over objects costs as much as to look.

    executions  rows of execution_states, without their number; calls and files: rows of these tables
    lines       of the journal, by execution: the results that must outlive their files
    stamps      when the newest file of each was changed last, nanoseconds
    again       execution to nanoseconds until the next look
    """

    executions: list[Row]
    calls: list[Row]
    files: list[Row]
    lines: dict[str, bytes]
    stamps: list[int]
    again: dict[str, int]

    def without(self, execution_ids: Collection[str]) -> FirstLooks:
        """The same of all others. The stamps of all stay: they are for statistics."""
        if not execution_ids:
            return self
        kept = [row for row in self.executions if row[0] not in execution_ids]
        ids = {row[0] for row in kept}
        names = {name for execution_id in ids for name in files_of(execution_id)}
        return FirstLooks(
            kept,
            [row for row in self.calls if row[0] in ids],
            [row for row in self.files if row[0] in names],
            {execution_id: line for execution_id, line in self.lines.items() if execution_id in ids},
            self.stamps,
            {execution_id: wait for execution_id, wait in self.again.items() if execution_id in ids},
        )


NO_FIRST_LOOKS = FirstLooks([], [], [], {}, [], {})
