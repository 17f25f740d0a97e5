"""First looks at executions of which nothing is known, and how they go from one process to another.

Only those are told that find an end: such a look is the same whoever takes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from reevd import __version__
from reevd.bounds import Bounds
from reevd.change import FirstLooks
from reevd.derive import Limits
from reevd.files import Folder
from reevd.journal import line_of
from reevd.look import look
from reevd.model import Execution
from reevd.reader import Reader
from reevd.record import result


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


HELLO_BYTES = 32


def hello() -> bytes:
    """What the other process says when it has begun: both must be of one version, and of one shape where none says."""
    spoken = __version__, Request._fields, FirstLooks._fields, Execution._fields
    return hashlib.sha256(repr(spoken).encode()).digest()


def first_looks(folder: Folder, request: Request) -> FirstLooks:
    ids, alone, now, stamp, limits, bounds, _ = request
    looks = look(Reader(folder, bounds), ids, now, stamp, limits=limits, may_judge=False, alone=alone)
    found = FirstLooks([], [], [], {}, [], {})
    for change in looks.changes:
        row, wait = change.execution, looks.again.get(change.execution_id)
        if row is None or not row.terminal or change.problems or wait == 0:
            continue
        found.executions.append(tuple(row))
        if change.calls:
            found.calls.extend(change.calls.rows(row.execution_id))
        found.files.extend(change.file_rows)
        found.stamps.append(change.stamp)
        if change.archive:
            found.lines[row.execution_id] = line_of(result(row))
        if wait is not None:
            found.again[row.execution_id] = wait
    return found
