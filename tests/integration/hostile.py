"""What the tests of hostile files share: an honest neighbour, and a problem as it must be shown."""

from __future__ import annotations

import json

from tests.harness import leave, session
from tests.integration.conftest import Bench

SESSION, OTEL = "session_x.json", "enhanced_otel_x.jsonl"
NAMES = (SESSION, OTEL, "otel_x.jsonl")
GOOD = json.dumps(session("x"))


def shown(bench: Bench, path: str) -> tuple[str | None, str, str, int]:
    """The problem's execution, kind, since and attempts; it must be there."""
    assert bench.engine is not None
    query = "SELECT execution_id, kind, since, attempts FROM problems WHERE path = ?"
    ((execution_id, kind, since, attempts),) = bench.engine.store.rows(query, (path,))
    return execution_id, kind, since, attempts


def goes_on(bench: Bench, neighbour: str = "honest") -> None:
    """A run that is left now is seen to its end."""
    leave(bench.sessions, neighbour, session(neighbour))
    bench.until(lambda: bench.status(neighbour) == "Completed", f"{neighbour} is Completed")


def is_shown(bench: Bench, path: str, kind: str) -> None:
    """The problem stands under its kind; another look counts it again and keeps since when it stands."""
    assert bench.engine is not None
    bench.until(lambda: bench.problems().get(path) == kind, f"{path} is shown as {kind}, not {bench.problems()}")
    first = shown(bench, path)
    bench.engine.rescan()
    bench.until(lambda: shown(bench, path)[3] > first[3], f"{path} is looked at again")
    assert shown(bench, path)[:3] == first[:3]
