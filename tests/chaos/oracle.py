"""What the database must say of a folder, worked out a second time: naive, slow, and without a line of reevd.

It knows the files, what was ever written as a result, and what a reader has been shown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

Ending = tuple[str, float | None]


class Row(NamedTuple):
    status: str
    score: float | None
    benchmark_id: str
    agent: str
    calls: list[tuple[str, str]]


def session(path: Path) -> dict[str, Any] | None:
    """The document, where the file holds one."""
    try:
        found = json.loads(path.read_bytes().decode())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def ending(document: dict[str, Any] | None) -> Ending | None:
    """Status and score of a document that holds a result."""
    final = (document or {}).get("final_result")
    if not isinstance(final, dict):
        return None
    return ("Completed" if final["success"] else "Failed", final["score"])


def calls(path: Path, *, ended: bool) -> list[tuple[str, str]]:
    """(tool, status) of each call that the telemetry tells of."""
    lines = path.read_bytes().split(b"\n")
    last = lines.pop()
    if ended and last.strip():
        lines.append(last)
    found: list[list[str]] = []
    waiting: list[list[str]] = []
    for line in lines:
        try:
            event = json.loads(line.decode())
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        if event.get("event_type") == "ToolInput":
            found.append([event["tool_input"]["tool_name"], "open"])
            waiting.append(found[-1])
        elif event.get("event_type") == "ToolOutput":
            if not waiting:
                found.append(["unknown", "open"])
                waiting.append(found[-1])
            waiting.pop()[1] = "success" if event["tool_output"]["success"] else "error"
        elif "tool_name" in event:
            begun = [call for call in waiting if call[0] == event["tool_name"]]
            if "execution_time_ms" not in event or not begun:
                found.append([event["tool_name"], "open"])
                waiting.append(found[-1])
                begun.append(found[-1])
            if "execution_time_ms" in event:
                begun[-1][1] = event["status"]
                waiting = [call for call in waiting if call is not begun[-1]]
    return [(name, status) for name, status in found]


def violations(
    folder: Path, rows: dict[str, Row], ids: set[str], written: dict[str, set[Ending]], shown: set[str]
) -> list[str]:
    """Everything in which `rows` differ from what they must or may be.

    written: the results that were ever written, by id. shown: ids that a reader has seen ended.
    """
    wrong = []
    for execution_id in sorted(ids | set(rows)):
        row = rows.get(execution_id)
        at, telemetry = folder / f"session_{execution_id}.json", folder / f"enhanced_otel_{execution_id}.jsonl"
        if not telemetry.exists():
            telemetry = folder / f"otel_{execution_id}.jsonl"
        document = session(at)
        told = ending(document)
        if row is None:
            if at.exists() or telemetry.exists() or execution_id in shown:
                wrong.append(f"{execution_id}: has files or was shown as ended, and has no row")
            continue
        ended = row.status not in ("Queued", "Running")
        if told is not None and (row.status, row.score) != told:
            wrong.append(f"{execution_id}: the file says {told}, the database {(row.status, row.score)}")
        if told is None and row.score is not None and (row.status, row.score) not in written.get(execution_id, set()):
            wrong.append(f"{execution_id}: {(row.status, row.score)} was never written")
        if execution_id in shown and not ended:
            wrong.append(f"{execution_id}: was shown as ended and is {row.status}")
        if document is not None and told is not None:
            wrong += [
                f"{execution_id}: {field} is {getattr(row, field)!r}, the file says {document[name]!r}"
                for field, name in (("benchmark_id", "benchmark_id"), ("agent", "agent_type"))
                if getattr(row, field) != document[name]
            ]
        expected = calls(telemetry, ended=ended) if telemetry.exists() else []
        if not expected and told is not None:
            expected = [
                (call["tool_name"], call["status"]) for call in (document or {})["final_result"].get("tools", [])
            ]
        # Of a kept result the calls may be kept too, where the telemetry was emptied.
        kept = told is None and ended and not expected
        if (telemetry.exists() or expected) and not kept and row.calls != expected:
            wrong.append(f"{execution_id}: calls {row.calls}, its files say {expected}")
    return wrong
