"""First looks at executions of which nothing is known, and how they go from one process to another.

Only those are told that find an end: such a look is the same whoever takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from reevd.bounds import Bounds
from reevd.change import Calls, Change
from reevd.derive import Limits
from reevd.files import Folder
from reevd.fingerprint import Fingerprint
from reevd.look import NO_LOOKS, Looks, look
from reevd.model import Execution, ToolCall
from reevd.reader import Reader
from reevd.reading import FileRow


class Request(NamedTuple):
    """Which executions to look at, and what `look` needs beside their files.

    place: where in the file of answers the answer begins
    """

    execution_ids: Sequence[str]
    alone: frozenset[str]
    now: int
    stamp: int
    limits: Limits
    bounds: Bounds
    place: int = 0


class Answer(NamedTuple):
    """The looks that found an end, as tuples without names, which takes a third of the time to pickle.

    again: as in Looks
    """

    ended: list[tuple[Any, ...]]
    again: dict[str, int]

    def looks(self) -> Looks:
        return NO_LOOKS._replace(changes=[_change(*each) for each in self.ended], again=self.again)


def first_looks(folder: Folder, request: Request) -> Answer:
    ids, alone, now, stamp, limits, bounds, _ = request
    looks = look(Reader(folder, bounds), ids, now, stamp, limits=limits, may_judge=False, alone=alone)
    ended = [
        _plain(change, change.execution, change.solved[:1] if change.execution_id in alone else change.solved)
        for change in looks.changes
        if change.execution is not None
        and change.execution.terminal
        and not change.problems
        and looks.again.get(change.execution_id) != 0
    ]
    return Answer(ended, looks.again)


def _plain(change: Change, execution: Execution, solved: tuple[str, ...]) -> tuple[Any, ...]:
    """Of a first look without a decision, in which nothing can have gone.

    solved: the files that were looked at, the session file first: what is wrong with another may be so still
    """
    calls = [tuple(call) for call in change.calls.calls] if change.calls else []
    files = [(file.name, tuple(file.fingerprint), file.mark) for file in change.files]
    return tuple(execution), calls, files, solved, change.archive is not None


def _change(
    row: tuple[Any, ...], calls: list[Any], files: list[Any], solved: tuple[str, ...], archived: bool
) -> Change:
    execution = Execution._make(row)
    return Change(
        execution.execution_id,
        execution,
        Calls(0, list(map(ToolCall._make, calls))),
        tuple([FileRow(name, Fingerprint._make(found), mark) for name, found, mark in files]),
        solved=solved,
        archive=execution if archived else None,
    )
