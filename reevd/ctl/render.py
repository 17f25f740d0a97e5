"""What a person sees: aligned columns, ages, marks, colour on a terminal only. Pure: text in, text out.

Everything that came out of a file is escaped: a name or a message must not act on the terminal.
"""

from __future__ import annotations

from reevd.views import terminal

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any
MARKS, safe, counted = terminal.MARKS, terminal.safe, terminal.counted
COLOURS = {"Completed": 32, "Failed": 31, "Timeout": 31, "Stopped": 33, "Running": 36, "healthy": 32, "degraded": 33}
WIDEST, WHOLE, LEAST = 60, 256, 20
MARKED = len("✔ Completed")
UNLESS = {"Queued": "it has begun by then, or is in the queue still", "Running": "there is news"}
COPIED = ("execution", "benchmark", "agent", "file")
"""Heads of columns whose cells are names that a command or a program takes: cut, they are none."""


def table(rows: Iterable[Sequence[object]], heads: Sequence[str], width: int | None = None) -> str:
    """Columns as wide as their widest cell; numbers to the right.

    At most WIDEST, but for what is there to be copied, and for the last, which pushes nothing aside.
    width: the last has what the others leave of so many characters, and LEAST in any case
    """
    cells = [
        [_cut(safe("" if cell is None else cell), WHOLE if head in COPIED or head == heads[-1] else WIDEST)
         for head, cell in zip(heads, row, strict=True)]
        for row in rows
    ]  # fmt: skip
    if width is not None:
        taken = sum(max(len(line[i]) for line in (heads, *cells)) + 2 for i in range(len(heads) - 1))
        cells = [[*row[:-1], _cut(row[-1], max(width - taken, LEAST))] for row in cells]
    right = [bool(cells) and all(_number(row[i]) for row in cells) for i in range(len(heads))]
    lines = [list(heads), *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def executions(items: Iterable[Mapping[str, Any]], now: float, *, why: bool = False, width: int | None = None) -> str:
    """A table of executions, one a line; with `why`, a last column that is cut to what is left of the width."""
    rows = [
        (
            status(e["status"]),
            score(e["score"]),
            e["benchmark_id"],
            e["agent"],
            age(e["created_at"], now),
            duration(e["started_at"], e["ended_at"]),
            e["execution_id"],
            *([_why(e)] if why else []),
        )
        for e in items
    ]
    heads = ("status", "score", "benchmark", "agent", "began", "took", "execution", *(["why"] if why else []))
    return table(rows, heads, width if why else None) if rows else "none"


def _why(e: Mapping[str, Any]) -> str:
    """What went wrong tells more than how it was found out; nothing where all went well."""
    return "" if e["status"] == "Completed" else e["error_message"] or e["reason"]


def line(e: Mapping[str, Any]) -> str:
    """One execution, aligned with the others that come one by one."""
    took = duration(e["started_at"], e["ended_at"])
    parts = (f"{status(e['status']):<{MARKED}}", f"{score(e['score']):<5}", e["benchmark_id"], e["agent"])
    return "  ".join(map(safe, (*parts, *([f"took {took}"] if took else []), e["execution_id"])))


def end(e: Mapping[str, Any]) -> str:
    """One execution on a line, and why where it is not Completed."""
    lines = [line(e)]
    if e["status"] != "Completed":
        why = dict.fromkeys(filter(None, (e["reason"], e["error_message"])))
        lines += [f"  {name:<6}{safe(text)}" for name, text in zip(("why", "error"), why, strict=False)]
    return "\n".join(lines)


def execution(e: Mapping[str, Any], now: float) -> str:
    """All that is to be said of one."""
    source = e["source"]
    fields: list[tuple[str, object]] = [
        ("benchmark", e["benchmark_id"]),
        ("agent", e["agent"]),
        ("score", score(e["score"])),
        ("why", e["reason"]),
        ("error", e["error_message"]),
        ("began", f"{e['started_at']} ({age(e['started_at'], now)})" if e["started_at"] else None),
        ("took", duration(e["started_at"], e["ended_at"])),
        ("given up", f"{e['deadline_at']} unless {UNLESS[e['status']]}" if e["deadline_at"] else None),
        ("tool calls", e["tool_calls"]),
        ("files", ", ".join(filter(None, (source["session"], source["otel"]))) or "none"),
        ("source", None if source["state"] == "present" else f"the file is {source['state']}; the result is kept"),
        *(("warning", text) for text in e["warnings"]),
    ]
    head = f"{status(e['status'])}  {safe(e['execution_id'])}"
    return "\n".join([head, *(f"  {name:<11}{safe(value)}" for name, value in fields if value not in (None, ""))])


def status(name: str) -> str:
    """With its mark."""
    return f"{MARKS.get(name, '?')} {name}"


def score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def age(text: str | None, now: float) -> str:
    """`3 s ago`, for RFC 3339 text and seconds since 1970."""
    return "" if text is None else f"{span(now - seconds(text))} ago"


def duration(began: str | None, ended: str | None) -> str:
    return span(seconds(ended) - seconds(began)) if began and ended else ""


def span(value: float) -> str:
    """`40 ms`, `3.2 s`, `5 min`, `2 h`, `12 d`."""
    value = max(value, 0.0)
    for limit, unit, name in ((1, 0.001, "ms"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if value < limit:
            return f"{value / unit:.{1 if name == 's' and value < 10 else 0}f} {name}"
    return f"{value / 86_400:.0f} d"


def seconds(text: str) -> float:
    """Seconds since 1970 of the API's times, which are UTC with microseconds."""
    from datetime import datetime  # only commands that show times pay for it

    return datetime.fromisoformat(text).timestamp()


def colour(text: str, *, wanted: bool) -> str:
    """The first word of each line that names a status or a health, coloured."""
    if not wanted:
        return text
    for word, number in COLOURS.items():
        named = f"{MARKS.get(word, '')} {word}".strip()
        text = text.replace(named, f"\033[{number}m{named}\033[0m")
    return text


def _cut(text: str, widest: int) -> str:
    return text if len(text) <= widest else text[: widest - 1] + "…"


def _number(cell: str) -> bool:
    return cell == "" or cell.replace(".", "", 1).isdigit()


def milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
