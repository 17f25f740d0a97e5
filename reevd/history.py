"""An execution's transitions, each with its time and its reason, as JSON text. Pure."""

from __future__ import annotations

from hashlib import sha256

import orjson

from reevd.model import Execution, Status
from reevd.session_file import Result, dumps
from reevd.times import rfc3339

INSTEAD = ", instead of another result, "
MOST = 200  # transitions, of which no honest run has ten: of more, the middle goes


def history(previous: Execution | None, status: Status, reason: str, result: Result | None, now: int) -> str:
    """The transitions so far and the one that this state is. Another result of the same status is one too.

    Of two results that contradict each other the newer one counts; the step says so, with the digests of both.
    """
    if previous is None:
        return dumps([_step(status, reason, now)])
    same = previous.status == status
    if result and previous.result_data and result.result_data != previous.result_data:
        reason += f"{INSTEAD}{_digest(previous.result_data)}: now {_digest(result.result_data)}"
    elif same and (not result or previous.score == result.score or previous.reason == reason):
        return previous.history
    transitions = orjson.loads(previous.history)
    if same and INSTEAD in reason and INSTEAD in transitions[-1]["reason"]:
        transitions.pop()  # who writes results again and again must not make the row grow
    del transitions[MOST // 2 : len(transitions) + 1 - MOST // 2]
    return dumps([*transitions, _step(status, reason, now)])


def _step(status: Status, reason: str, now: int) -> dict[str, str]:
    return {"status": status, "at": rfc3339(now), "reason": reason}


def _digest(text: str) -> str:
    return f"SHA-256 {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
