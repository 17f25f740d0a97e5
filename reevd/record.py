"""The journal's records. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from reevd.model import Decision, Execution

# Columns that hold JSON as text: in the journal they are JSON.
JSON_TEXT = ("result_data", "metadata", "warnings", "history")


def decision(made: Decision) -> dict[str, Any]:
    """Of a decision."""
    return {"decision": made._asdict()}


def result(row: Execution) -> dict[str, Any]:
    """Of a finished execution."""
    fields = row._asdict()
    for name in JSON_TEXT:
        if (text := fields[name]) is not None:
            fields[name] = orjson.Fragment(text)
    return {"result": fields}


def forgotten(execution_ids: Sequence[str]) -> dict[str, Any]:
    """Of executions that were removed: what stands before it of them is void."""
    return {"forgotten": list(execution_ids)}


def ids_of(record: dict[str, Any]) -> list[str]:
    """The executions that a record is about: one, but for those that were removed."""
    if "forgotten" in record:
        return list(record["forgotten"])
    return [record["decision" if "decision" in record else "result"]["execution_id"]]
