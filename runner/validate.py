"""`--validate`: cases checked, and none run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from runner.case_file import load
from runner.errors import CaseError, UsageError, legible
from runner.output import say


def validate(paths: Sequence[Path], *, as_json: bool, quiet: bool) -> int:
    """A line for each file. 0 where all are valid, else 2."""
    statuses: list[bool] = []
    ids: dict[str, Path] = {}
    for path in paths:
        found: dict[str, Any] = {"file": legible(path), "valid": True}
        try:
            case = load(path, ids)
            found |= {"benchmark_id": case.id, "steps": case.steps_total, "needs": list(case.needs)}
            text = f"ok      {path}: {case.id}" + (f", needs {' and '.join(case.needs)}" if case.needs else "")
        except CaseError as error:
            found |= {"valid": False, "line": error.line, "field": error.field, "why": error.why}
            text = f"INVALID {error.file}:{error.line} {error.field}: {error.why}"
        except UsageError as error:
            found |= {"valid": False, "line": None, "field": "", "why": error.why}
            text = f"INVALID {path}: {error.why}"
        statuses.append(found["valid"])
        if as_json or not quiet or not found["valid"]:
            say(orjson.dumps(found).decode() if as_json else text)
    return 0 if all(statuses) else 2
