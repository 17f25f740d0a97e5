"""`reev-runner lint`: what a writer in whatever language does wrong, line by line, with what to do about it.

The shapes stand in runner/schema/ as JSON Schema; what no schema can say is looked at here. That a file was rewritten
in place cannot be seen from the file: write another one, sync it, and rename it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator

from runner.plain_file import read

NAMES = re.compile(r"(?:session_(?P<session>.+)\.json|(?:enhanced_)?otel_(?P<otel>.+)\.jsonl)")
MOST_BYTES = 64 << 20
EARLIEST = datetime.min.replace(tzinfo=UTC)


class Finding(NamedTuple):
    """`where`: a line's number, or a JSON pointer; empty for the file as a whole."""

    file: str
    where: str
    what: str
    fix: str


def lint(path: Path) -> list[Finding]:
    """Raises OSError where it cannot be read."""
    name = NAMES.fullmatch(path.name)
    found = [Finding(str(path), *each) for each in _name(name is not None)]
    raw = read(path, MOST_BYTES)
    if len(raw) > MOST_BYTES:
        return [
            *found,
            Finding(str(path), "", f"it has more than {MOST_BYTES:,} bytes", "leave out what is not needed"),
        ]
    identity = (name["session"] or name["otel"]) if name else None
    check = _telemetry if path.suffix == ".jsonl" else _session
    return found + [Finding(str(path), *each) for each in check(raw, identity)]


Told = tuple[str, str, str]


def _name(known: bool) -> Iterator[Told]:
    if not known:
        yield "", "reevd passes over a file of this name", "session_{id}.json or enhanced_otel_{id}.jsonl"


def _session(raw: bytes, identity: str | None) -> Iterator[Told]:
    if raw.startswith(b"\xef\xbb\xbf"):
        yield "", "it begins with a byte order mark", "write plain UTF-8"
    try:
        document = _read(raw.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        yield "", f"it is no JSON: {error}", "write it whole beside it, sync it, and rename it into place"
        return
    yield from _shape("session", document)
    if not isinstance(document, dict):
        return
    if identity is not None and document.get("session_id") not in (identity, None):
        yield "/session_id", f"the name says {identity!r}, the file {document['session_id']!r}", "the same in both"
    final = document.get("final_result")
    if isinstance(final, dict):
        yield from _result(document, final)


def _result(document: dict[str, Any], final: dict[str, Any]) -> Iterator[Told]:
    success, status = final.get("success"), final.get("status")
    if (success, status) in ((True, "Failed"), (False, "Succeeded")):
        yield (
            "/final_result/status",
            f"success is {success}, and status {status!r}",
            "reevd goes by success: mend status",
        )
    if document.get("end_time") is None:
        yield "/end_time", "it has a result and no end", "the time at which the result was there"
    start, end = document.get("start_time"), document.get("end_time")
    if isinstance(start, int | float) and isinstance(end, int | float) and end < start:
        yield "/end_time", "it ends before it begins", "both in seconds since 1970, from one clock"


def _telemetry(raw: bytes, identity: str | None) -> Iterator[Told]:
    *lines, rest = raw.split(b"\n")
    if rest:
        yield str(len(lines) + 1), "the last line has no newline: it does not count", "end each line with one"
    waiting, last = 0, EARLIEST
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            event = _read(line)
        except ValueError as error:
            yield str(number), f"it is no JSON: {error}", "one JSON object a line, in one write"
            continue
        for where, what, fix in _shape("otel_line", event):
            yield f"{number}{where}", what, fix
        if not isinstance(event, dict):
            continue
        if identity is not None and event.get("session_id") not in (identity, None):
            yield str(number), f"the name says {identity!r}, the line {event['session_id']!r}", "the same in both"
        kind, at = event.get("event_type"), _moment(event.get("timestamp"))
        waiting += kind == "ToolInput"
        if kind == "ToolOutput":
            if not waiting:
                yield str(number), "a ToolOutput, and no ToolInput is open", "write the input before the output"
            waiting = max(0, waiting - 1)
        if at is not None:
            if at < last:
                yield str(number), "its time is before that of an earlier line", "append lines as things happen"
            last = max(last, at)


def _moment(stamp: object) -> datetime | None:
    """None where it is no time; without an offset it is UTC, as reevd takes it."""
    try:
        found = datetime.fromisoformat(stamp) if isinstance(stamp, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def _read(text: bytes) -> Any:
    """Strict, as reevd reads it. Raises ValueError."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
        return found

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON: write null")

    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is no UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(files("runner.schema").joinpath(f"{name}.schema.json").read_bytes()))


def _shape(name: str, document: Any) -> Iterator[Told]:
    for error in sorted(_validator(name).iter_errors(document), key=lambda e: list(map(str, e.absolute_path))):
        pointer = "".join(f"/{part}" for part in error.absolute_path)
        yield pointer, error.message[:300], f"see runner/schema/{name}.schema.json"
