"""The spool: one file a job, so that no queued run is lost, whatever becomes of the daemon or its database.

A job stands from before its place in the queue is acknowledged until after its end is stored. Beside it stands
what its runner wrote to stderr.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

import orjson
import structlog

from reevd.runs.job import Job

JOB, STDERR, TORN = ".json", ".stderr", ".tmp"
# A runner that complains without end must not fill the disk: past this, its stderr starts anew.
MAX_STDERR = 8 << 20

log = structlog.get_logger("reevd.runs")


class Spool:
    """Raises OSError as the disk does."""

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self._folder = folder

    def add(self, job: Job) -> None:
        """Durable once this returns."""
        path = self._path(job.execution_id, JOB)
        descriptor = os.open(path + TORN, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            text = orjson.dumps(job._asdict())
            if os.write(descriptor, text) != len(text):
                raise OSError(errno.ENOSPC, f"{path} could not be written whole")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(path + TORN, path)
        self._sync()

    def jobs(self) -> list[Job]:
        """All jobs, in the order in which they were asked for. What belongs to none is removed."""
        found = sorted(self._read(), key=lambda job: (job.at, job.execution_id))
        known = {job.execution_id for job in found}
        for name in os.listdir(self._folder):
            if name.endswith(TORN) or (name.endswith(STDERR) and name.removesuffix(STDERR) not in known):
                os.unlink(os.path.join(self._folder, name))
        return found

    def _read(self) -> Iterator[Job]:
        for name in os.listdir(self._folder):
            if not name.endswith(JOB):
                continue
            path = os.path.join(self._folder, name)
            try:
                with open(path, "rb") as file:
                    yield Job(**orjson.loads(file.read()))
            except (ValueError, TypeError) as error:
                log.error("a job cannot be read: it is set aside", path=path, error=str(error))
                os.rename(path, path + ".damaged")

    def remove(self, execution_id: str) -> None:
        """Its end is stored. Where this is cut short, `jobs` clears up."""
        for ending in (JOB, STDERR):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(execution_id, ending))

    def open_stderr(self, execution_id: str) -> int:
        """A descriptor for the runner to append to."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path(execution_id, STDERR), flags, 0o600)

    def stderr(self, execution_id: str) -> str:
        """What its runner complained of: all that `trim` leaves."""
        most = 2 * MAX_STDERR
        try:
            with open(self._path(execution_id, STDERR), "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - most))
                return file.read(most).decode(errors="replace").strip()
        except FileNotFoundError:
            return ""

    def trim(self, execution_id: str) -> None:
        """Starts its stderr anew where it is past all measure."""
        path = self._path(execution_id, STDERR)
        with contextlib.suppress(FileNotFoundError):
            if os.path.getsize(path) > MAX_STDERR:
                os.truncate(path, 0)

    def _path(self, execution_id: str, ending: str) -> str:
        return os.path.join(self._folder, execution_id + ending)

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
