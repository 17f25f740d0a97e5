"""What reev-runner prints of an execution that has ended."""

from __future__ import annotations

from runner.execute import Ended
from runner.score import Verdict

MARKS = {True: "✔", False: "✘"}
PLAIN_MARKS = {True: "ok", False: "FAILED"}  # for a terminal whose encoding lacks the others


def summary(ended: Ended, encoding: str | None) -> str:
    """What became of it and how fast, why it failed, what the chain holds otherwise, and where its record is."""
    outcome, order = ended.outcome.to_json(), ended.order
    marks = MARKS if _encodes(MARKS, encoding) else PLAIN_MARKS
    lines = [
        f"{marks[outcome['success']]} {order.case.id}: {outcome['status']}, score {outcome['score']:.4g}, "
        f"{ended.elapsed_ms} ms"
    ]
    if outcome["error"]:
        lines.append(f"  {outcome['error']['message']}")
    lines += [f"  {_missed(verdict)}" for verdict in ended.outcome.verdicts if not verdict.passed]
    lines.append(f"  {order.execution_id}  {ended.session_file}")
    return "\n".join(lines)


def _missed(verdict: Verdict) -> str:
    actual = "nothing" if verdict.actual is None else verdict.actual
    return f"not as asserted: {verdict.type} of {verdict.pubkey} should be {verdict.expected}, and is {actual}"


def _encodes(marks: dict[bool, str], encoding: str | None) -> bool:
    try:
        "".join(marks.values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
