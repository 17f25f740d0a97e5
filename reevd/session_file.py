"""Session file: bytes to evidence. Pure.

Writers exist in several languages and versions, so every field may be missing, and a field of the wrong
type costs a warning, not the file. Only a document that is no JSON object is unreadable.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import orjson

from reevd.errors import UnreadableError
from reevd.model import ToolCall
from reevd.times import rfc3339, sharpest, to_micros

# Each JSON value costs memory many times its text: 16 MiB of `{}` would take more than half a GiB.
MAX_VALUES = 2_000_000
# They are parsed and stored at once, and everything else waits meanwhile: half a second for so many.
MAX_CALLS = 100_000
LONGEST_KIND = 200  # characters: it stands in each transition of the history


class Result(NamedTuple):
    """What a finished run says of itself. `error_kind` is our runner's word for how it ended, or None."""

    success: bool
    score: float | None
    error_kind: str | None
    error_message: str | None
    result_data: str


class Session(NamedTuple):
    """The evidence of one session file. `ended` is true where the writer closed it, with a result or without."""

    named_id: str | None
    benchmark_id: str
    agent: str
    started_at: int | None
    ended_at: int | None
    ended: bool
    result: Result | None
    tool_calls: tuple[ToolCall, ...]
    metadata: str | None
    steps_total: int
    locked: bool
    warnings: tuple[str, ...]


def dumps(value: object) -> str:
    """JSON text. orjson reads 1,024 levels and writes 254 of them: what is deeper is for the standard library.

    In a record of the journal it stands two levels deeper, and is to be read again.
    """
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        try:
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            orjson.loads(f"[[{text}]]")
        except (RecursionError, orjson.JSONDecodeError):
            return '"(nested too deeply to be stored: see the file)"'
        return text


def load_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`. Raises UnreadableError with kind `empty`, `json`, `shape` or `size`."""
    text = raw.removeprefix(b"\xef\xbb\xbf")
    if not text.strip(b" \t\r\n\0"):
        raise UnreadableError("empty", "it holds no JSON, only white space" if raw else "it is empty")
    if len(text) > MAX_VALUES and text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES:
        raise UnreadableError("size", f"it holds more than {MAX_VALUES:,} JSON values")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UnreadableError("json", f"it is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnreadableError("shape", f"it holds a JSON {type(document).__name__}, not an object")
    return document


def benchmark_name(value: object) -> str:
    """`benchmarks/001-sol-transfer.yml` becomes `001-sol-transfer`; what is no text becomes the empty string."""
    if not isinstance(value, str):
        return ""
    name = value.strip().replace("\\", "/").rsplit("/", 1)[-1]
    return name.removesuffix(".yml").removesuffix(".yaml")


def parse_session(raw: bytes) -> Session:
    """Raises UnreadableError where `raw` is no JSON object."""
    document = load_object(raw)
    warnings: list[str] = []
    final = document.get("final_result")
    if final is not None and not isinstance(final, dict):
        warnings.append(f"final_result is a JSON {type(final).__name__}, not an object: ignored")
        final = None
    metadata = document.get("metadata")
    facts = metadata if isinstance(metadata, dict) else {}
    steps_total = facts.get("steps_total")
    # Writers tell these times to the second, and those of their events to less.
    ended_at = _sharper(_time(document, "end_time", warnings), document, -1)
    started_at = _sharper(_time(document, "start_time", warnings), document, 0)
    named_id, agent = document.get("session_id"), document.get("agent_type")
    result = None if final is None else _result(final, warnings)
    tool_calls = _tool_calls(final, warnings) if final else ()
    return Session(
        named_id if isinstance(named_id, str) else None,
        benchmark_name(document.get("benchmark_id")),
        agent if isinstance(agent, str) else "",
        started_at,
        ended_at,
        final is not None or ended_at is not None,
        result,
        tool_calls,
        None if metadata is None else dumps(metadata),
        max(0, steps_total) if isinstance(steps_total, int) and not isinstance(steps_total, bool) else 0,
        facts.get("liveness") == "ofd-lock",
        tuple(warnings),
    )


def _time(document: dict[str, Any], field: str, warnings: list[str]) -> int | None:
    value = document.get(field)
    micros = to_micros(value)
    if micros is None and value is not None:
        warnings.append(f"{field} is no time: ignored")
    return micros


def _sharper(told: int | None, document: dict[str, Any], place: int) -> int | None:
    """The time, as the first or the last event of the session tells it."""
    events = document.get("events")
    if not events:
        return told
    event = events[place] if isinstance(events, list) else None
    seen = to_micros(event.get("timestamp")) if isinstance(event, dict) else None
    return sharpest(told, seen) if told and seen else told


def _result(final: dict[str, Any], warnings: list[str]) -> Result:
    success = final.get("success")
    if not isinstance(success, bool):
        success = final.get("status") == "Succeeded"
        warnings.append(f"final_result.success is missing or no boolean: taken from its status as {success}")
    score = final.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        if score is not None:
            warnings.append("final_result.score is no number: ignored")
        score = None
    elif not 0 <= score <= 1:
        warnings.append(f"final_result.score is {score}, outside 0 to 1: kept within")
        score = min(max(score, 0.0), 1.0)
    error = final.get("error")
    kind = error.get("kind") if isinstance(error, dict) else None
    stored_score = None if score is None else float(score)
    return Result(
        success=success,
        score=stored_score,
        error_kind=kind[:LONGEST_KIND] if isinstance(kind, str) else None,
        error_message=None if success else _error_message(final, error),
        result_data=dumps({"success": success, "score": stored_score, "source": "session_file", "final_result": final}),
    )


def _error_message(final: dict[str, Any], error: object) -> str | None:
    """The first of: the writer's error, the chain's error of the last step that has one."""
    if isinstance(error, str) and error:
        return error
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    data = final.get("data")
    steps = data.get("steps") if isinstance(data, dict) else None
    for step in reversed(steps if isinstance(steps, list) else []):
        observation = step.get("observation") if isinstance(step, dict) else None
        if isinstance(observation, dict) and isinstance(observation.get("last_transaction_error"), str):
            return str(observation["last_transaction_error"])
    return None


def _tool_calls(final: dict[str, Any], warnings: list[str]) -> tuple[ToolCall, ...]:
    data = final.get("data")
    calls = final.get("tools") or (data.get("tools") if isinstance(data, dict) else None) or []
    if not isinstance(calls, list):
        warnings.append("final_result.tools is no array: ignored")
        return ()
    if len(calls) > MAX_CALLS:
        warnings.append(f"final_result.tools has {len(calls):,} entries: the first {MAX_CALLS:,} are kept")
        calls = calls[:MAX_CALLS]
    known = [_tool_call(call) for call in calls if isinstance(call, dict)]
    if len(known) < len(calls):
        warnings.append(f"{len(calls) - len(known)} of {len(calls)} entries of final_result.tools are no objects")
    return tuple(known)


def _tool_call(call: dict[str, Any]) -> ToolCall:
    started, ended = to_micros(call.get("start_time")), to_micros(call.get("end_time"))
    status, error = call.get("status"), call.get("error_message")
    params, result = call.get("params"), call.get("result")
    name = call.get("tool_name") or call.get("tool_id") or "unknown"
    return ToolCall(
        name if isinstance(name, str) else dumps(name),
        None if started is None else rfc3339(started),
        None if started is None or ended is None else (ended - started) / 1000,
        None if params is None else dumps(params),
        None if result is None else dumps(result),
        call_status(status),
        error if isinstance(error, str) else None,
    )


def call_status(status: object) -> str:
    """A writer's word for the outcome of a call, as one of ours: success, error, timeout or open."""
    word = status.lower() if isinstance(status, str) else ""
    if word in ("success", "succeeded", "completed", "ok"):
        return "success"
    if word in ("error", "failed", "failure"):
        return "error"
    return "timeout" if word in ("timeout", "timed_out") else "open"
