"""Rows into a file: CSV, JSON Lines, Parquet. One row after another: memory does not grow with their number."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, TextIO

from reevd.errors import ReevdError

Row = Mapping[str, Any]
# Name to type: text, time, number, count, json. The order is that of the columns.
EXECUTIONS = {
    "execution_id": "text", "benchmark_id": "text", "agent": "text", "status": "text", "score": "number",
    "created_at": "time", "started_at": "time", "ended_at": "time", "updated_at": "time", "deadline_at": "time",
    "progress": "number", "tool_calls": "count", "reason": "text", "error_message": "text", "result_data": "json",
    "metadata": "json", "warnings": "json", "source": "json",
}  # fmt: skip
TOOL_CALLS = {
    "execution_id": "text", "benchmark_id": "text", "agent": "text", "tool_name": "text", "status": "text",
    "started_at": "time", "duration_ms": "number", "params": "json", "result": "json", "error_message": "text",
}  # fmt: skip
ROW_GROUP = 5_000


def to_csv(rows: Iterable[Row], columns: Mapping[str, str], file: TextIO) -> int:
    """RFC 4180: a head, CRLF, quotes where they are needed; JSON as text in one cell, null as nothing at all.

    Cells are written as they are: whoever opens them in a spreadsheet should import them as text.
    """
    writer = csv.writer(file)
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([_cell(row[name], kind) for name, kind in columns.items()])
        count += 1
    return count


def to_jsonl(rows: Iterable[Row], columns: Mapping[str, str], file: TextIO) -> int:
    """One JSON object a line."""
    count = 0
    for row in rows:
        file.write(json.dumps({name: row[name] for name in columns}, ensure_ascii=False) + "\n")
        count += 1
    return count


def to_parquet(rows: Iterable[Row], columns: Mapping[str, str], file: BinaryIO) -> int:
    """Typed columns: times in microseconds UTC, doubles, integers, text; JSON as text. Row groups of ROW_GROUP.

    Raises ReevdError where pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        hint = 'pip install "reevd[parquet]"'
        raise ReevdError("writing", "Parquet", "it takes pyarrow, which is not installed", hint) from error
    types = {"text": pa.string(), "json": pa.string(), "number": pa.float64(), "count": pa.int64(),
             "time": pa.timestamp("us", tz="UTC")}  # fmt: skip
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()])
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(rows):
            values = {name: [_value(row[name], kind) for row in group] for name, kind in columns.items()}
            writer.write_table(pa.table(values, schema=schema))
            count += len(group)
    return count


def _groups(rows: Iterable[Row]) -> Iterator[Sequence[Row]]:
    several = iter(rows)
    while group := list(islice(several, ROW_GROUP)):
        yield group


def _cell(value: object, kind: str) -> object:
    return json.dumps(value, ensure_ascii=False) if kind == "json" and value is not None else value


def _value(value: Any, kind: str) -> object:
    if kind == "time" and value is not None:
        return datetime.fromisoformat(value)
    return _cell(value, kind)
