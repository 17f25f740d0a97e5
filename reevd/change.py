"""What a look changes in the database. Records only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from reevd.model import Decision, Execution, Problem, ToolCall
from reevd.reading import FileRow


class Calls(NamedTuple):
    """The tool calls of an execution from index `start` on; what stood there is replaced."""

    start: int
    calls: Sequence[ToolCall]


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
