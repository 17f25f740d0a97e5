"""The session file: written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import orjson

from runner.errors import RunnerError, UsageError
from runner.plain_file import read

MOST_BYTES = 64 << 20
EXECUTION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

# The checkout's, or the one that the host's daemon watches.
DEFAULT_SESSIONS, HOST_SESSIONS = "logs/sessions", "/var/log/reevd/sessions"


def sessions_dir(given: Path | None) -> Path:
    """As given, else as the environment says, else the usual one; made where it is missing. Raises UsageError."""
    here, host = Path(DEFAULT_SESSIONS), Path(HOST_SESSIONS)
    named = given or os.environ.get("REEV_SESSIONS_DIR")
    folder = Path(named) if named else host if os.path.isdir(host) and not os.path.isdir(here) else here
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "give a folder that can be written with --sessions-dir"
        raise UsageError("making the sessions folder", str(folder), error.strerror, hint) from None
    return folder


class SessionFile:
    """`{folder}/session_{execution_id}.json`."""

    def __init__(self, folder: Path, execution_id: str) -> None:
        self.folder, self.execution_id = folder, execution_id
        self.path = folder / f"session_{execution_id}.json"
        self._temporary = folder / f".session_{execution_id}.json.tmp"

    def require_no_result(self) -> None:
        """Raises UsageError where the file holds a result, or what may be one: a result is never overwritten."""
        doing, hint = "starting a run as", "give another --execution-id, or none for a fresh one"
        try:
            document = orjson.loads(read(self.path, MOST_BYTES))
        except FileNotFoundError:
            return
        except (OSError, orjson.JSONDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else error
            why = f"{self.path} is there and cannot be read: {told}"
            raise UsageError(doing, self.execution_id, why, hint) from None
        if not isinstance(document, dict) or document.get("final_result") is not None:
            raise UsageError(doing, self.execution_id, f"{self.path} holds a result already", hint)

    def write(self, document: dict[str, Any]) -> None:
        """Puts the document in the file's place, and on the disk. Raises RunnerError where it cannot."""
        try:
            self._put(orjson.dumps(document) + b"\n")
        except OSError as error:
            with contextlib.suppress(OSError):  # what failed first is what is told
                self._temporary.unlink(missing_ok=True)
            hint = "free some space, or check the folder's owner and mode"
            raise RunnerError("writing the session file", str(self.path), error.strerror, hint) from error

    def _put(self, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(self._temporary, flags, 0o644), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self._temporary, self.path)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
