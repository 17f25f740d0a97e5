"""A run and its tool calls as values, for what is made of them: bounded, since a run may have left 16 MiB of each."""

from __future__ import annotations

from typing import Any

import orjson

from reevd.api.query import Query

# What is made of it is to be read: of more than this a reader sees nothing, and everybody else waits.
MOST_BYTES = 4 << 20
MOST_CALLS = 200
MOST_VALUE = 256 << 10
CALLS_AT_ONCE = 20


def first_calls(query: Query, shown: dict[str, Any]) -> list[dict[str, Any]]:
    """The first tool calls of an execution: MOST_CALLS, or fewer where they are long."""
    calls: list[dict[str, Any]] = []
    cursor, size, more = None, 0, shown["tool_calls"] > 0
    while more and len(calls) < MOST_CALLS and size < MOST_BYTES:
        page = query.tool_calls(shown["execution_id"], CALLS_AT_ONCE, cursor)
        calls += page.items
        size += len(orjson.dumps(page.items))
        cursor, more = page.next_cursor, page.next_cursor is not None
    return calls


def values(shown: dict[str, Any]) -> dict[str, Any]:
    """An execution or a call, as a query shows it, with its JSON as values."""
    return {name: _value(name, value) if isinstance(value, orjson.Fragment) else value for name, value in shown.items()}


def _value(name: str, fragment: orjson.Fragment) -> Any:
    text = orjson.dumps(fragment)
    if name in ("params", "result") and len(text) > MOST_VALUE:
        return f"({len(text):,} bytes of JSON: too long to be shown)"
    return orjson.loads(text)
