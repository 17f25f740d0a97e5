"""Which case files a path stands for."""

from __future__ import annotations

import stat
from pathlib import Path

from runner.errors import UsageError

ENDINGS = (".yml", ".yaml")


def find(path: Path) -> list[Path]:
    """The file itself, or the folder's case files sorted by name. Raises UsageError where there is none."""
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return [path]
        files = sorted(file for file in path.iterdir() if file.suffix in ENDINGS and file.is_file())
    except FileNotFoundError:
        hint = "list benchmarks/ for the cases"
        raise UsageError("opening the benchmark", str(path), "there is no such file", hint) from None
    except OSError as error:
        raise UsageError(
            "looking for benchmarks at", str(path), error.strerror, "check its path and its mode"
        ) from None
    if not files:
        raise UsageError("looking for benchmarks in", str(path), "it holds no .yml file", "name another folder")
    return files
