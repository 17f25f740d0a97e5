"""What reev-runner prints of an execution that has ended."""

from __future__ import annotations

from runner.execute import Ended

MARKS = {True: "✔", False: "✘"}
PLAIN_MARKS = {True: "ok", False: "FAILED"}  # for a terminal whose encoding lacks the others


def summary(ended: Ended, encoding: str | None) -> str:
    """Two or three lines: what became of it and how fast, why it failed, and where its record is."""
    outcome, order = ended.outcome.to_json(), ended.order
    marks = MARKS if _encodes(MARKS, encoding) else PLAIN_MARKS
    lines = [
        f"{marks[outcome['success']]} {order.case.id}: {outcome['status']}, score {outcome['score']:.4g}, "
        f"{ended.elapsed_ms} ms"
    ]
    if outcome["error"]:
        lines.append(f"  {outcome['error']['message']}")
    lines.append(f"  {order.execution_id}  {ended.session_file}")
    return "\n".join(lines)


def _encodes(marks: dict[bool, str], encoding: str | None) -> bool:
    try:
        "".join(marks.values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
