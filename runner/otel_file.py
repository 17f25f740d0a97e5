"""The telemetry file: lines appended one by one, under a lock that says that the runner lives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from runner.claim import lock
from runner.errors import RunnerError, UsageError, legible

LOCK = "ofd-lock"
VARIABLE = "REEV_ENHANCED_OTEL_FILE"


OFF = ("0", "false", "off", "no")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the telemetry goes. `own` is true where it is the name beside the session file, at which a reader
    of the sessions folder looks for the lock."""

    path: Path
    own: bool


def _disabled(environment: Mapping[str, str]) -> bool:
    return environment.get("OTEL_SDK_DISABLED", "").lower() == "true"


def exported(environment: Mapping[str, str]) -> bool:
    """Whether the settings name a collector: it is sent the spans, whether there is a file or not."""
    return any(environment.get(name) for name in ENDPOINTS) and not _disabled(environment)


def place(folder: Path, execution_id: str, environment: Mapping[str, str]) -> Place | None:
    """Where the settings put the telemetry; None where they turn it off."""
    if environment.get("REEV_ENHANCED_OTEL", "").lower() in OFF or _disabled(environment):
        return None
    usual = folder / f"enhanced_otel_{execution_id}.jsonl"
    wanted = environment.get(VARIABLE)
    path = Path(wanted.replace("{session_id}", execution_id)) if wanted else usual
    return Place(path, own=path.absolute() == usual.absolute())


def warning(environment: Mapping[str, str]) -> str | None:
    """What is odd about the settings, though they can be followed."""
    wanted = environment.get(VARIABLE)
    if not wanted or "{session_id}" in wanted:
        return None
    return f"{VARIABLE}={legible(wanted)} names no {{session_id}}: the lines of all runs go into this one file"


class OtelFile:
    """Open and locked from its making until `close`. A child process does not inherit it."""

    def __init__(self, where: Place) -> None:
        """Raises UsageError where another run writes to the file, RunnerError where it cannot be opened."""
        self.path = where.path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        if where.own:  # a place that nobody chose: what stands there is a plain file, not one that waits for a reader
            flags |= os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            if not where.own:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, flags, 0o644)
        except OSError as error:
            hint = "check REEV_ENHANCED_OTEL_FILE and the folder's mode, or set REEV_ENHANCED_OTEL=0"
            raise RunnerError("opening the telemetry file", str(self.path), error.strerror, hint) from None
        try:
            lock(self._descriptor)
        except BlockingIOError:
            os.close(self._descriptor)
            hint = "give another --execution-id, or put {session_id} in REEV_ENHANCED_OTEL_FILE"
            raise UsageError("opening the telemetry file", str(self.path), "another run writes to it", hint) from None
        except OSError as error:
            os.close(self._descriptor)
            hint = "use a local file system, or set REEV_ENHANCED_OTEL=0"
            raise RunnerError("locking the telemetry file", str(self.path), error.strerror, hint) from None

    def clear(self) -> None:
        """Drops the lines of an earlier attempt under the same execution id."""
        os.ftruncate(self._descriptor, 0)

    def append(self, event: dict[str, Any]) -> None:
        """One event, one line, one write: a reader never finds two writers' lines mixed."""
        line = orjson.dumps(event) + b"\n"
        try:
            written = os.write(self._descriptor, line)
        except OSError as error:
            raise self._unwritten(error.strerror) from error
        if written < len(line):
            raise self._unwritten(f"only {written} of {len(line)} bytes went in")

    def _unwritten(self, why: object) -> RunnerError:
        return RunnerError("appending to the telemetry file", str(self.path), why, "free some space")

    def close(self) -> None:
        os.close(self._descriptor)
