"""What a file's name says: its kind and the execution it belongs to."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Kind = Literal["session", "otel"]

# A name is a key in the database, a part of URLs and of a terminal's output: hence so narrow.
EXECUTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ID = EXECUTION_ID.pattern.encode()
SHAPES: tuple[tuple[bytes, bytes, Kind], ...] = (
    (b"session_", b".json", "session"),
    (b"enhanced_otel_", b".jsonl", "otel"),
    (b"otel_", b".jsonl", "otel"),
)
# A group for each of these shapes.
NAME = re.compile(b"|".join(re.escape(prefix) + b"(" + ID + b")" + re.escape(suffix) for prefix, suffix, _ in SHAPES))


class Name(NamedTuple):
    """A file of the sessions folder. `execution_id` is None where the name holds no valid one."""

    file: str
    kind: Kind
    execution_id: str | None


def classify(raw: bytes) -> Name | None:
    """The name's meaning, or None for a file that is none of ours (temporary files, notes, folders)."""
    if (found := NAME.fullmatch(raw)) and (shape := found.lastindex):
        return Name(raw.decode(), SHAPES[shape - 1][2], found[shape].decode())
    for prefix, suffix, kind in SHAPES:
        if raw.startswith(prefix) and raw.endswith(suffix):
            return Name(printable(raw), kind, None)
    return None


def files_of(execution_id: str) -> tuple[str, str, str]:
    """The names that may belong to an execution: session file, telemetry, telemetry of older writers."""
    return f"session_{execution_id}.json", f"enhanced_otel_{execution_id}.jsonl", f"otel_{execution_id}.jsonl"


def printable(raw: bytes) -> str:
    """The name with everything that a terminal could act on escaped; bytes that are no UTF-8 as `\\xNN`."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode("ascii") for c in text)
