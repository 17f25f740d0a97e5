"""The sessions folder: list, open, read. The only I/O on what strangers wrote.

Everything is decided on the open descriptor: a name may be replaced between two looks by a FIFO, a device
or a link that leads out of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator
from itertools import islice

from reevd.errors import UnreadableError
from reevd.fingerprint import Fingerprint, fingerprint, marks

PART = 1_000
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
# Out of descriptors, out of memory, a lease that the owner has not given up: reasons to look again, never
# reasons to believe that the file is gone. With what to do about each.
TRANSIENT = {
    errno.EMFILE: "raise the daemon's limit of open files",
    errno.ENFILE: "raise the host's limit of open files, fs.file-max",
    errno.ENOMEM: "the host is out of memory",
    errno.EAGAIN: "its owner holds a lease on it",
    errno.EINTR: "it was interrupted",
}


class TransientError(Exception):
    """The file could not be looked at now, for a reason that lies with the host; try again."""


class OpenFile:
    """A regular file of the folder, open for reading.

    fingerprint was taken before any byte is read. taken: how many bytes were read, some of them perhaps again
    """

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self.descriptor, self.fingerprint, self.taken = descriptor, fingerprint(status), 0

    def close(self) -> None:
        os.close(self.descriptor)

    def check_size(self, limit: int) -> None:
        """Raises UnreadableError past `limit`: a size costs nothing to claim, a sparse file may hold 4 TiB."""
        size = self.fingerprint.size
        if size > limit:
            raise UnreadableError("size", f"it has {size:,} bytes; at most {limit:,} are read")

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`, of those that stood when the file was opened.

        What came since is left for the next look, and no more memory is asked for than there are bytes.
        """
        length = max(0, min(length, self.fingerprint.size - offset))
        try:
            data = os.pread(self.descriptor, length, offset)
            while 0 < len(data) < length and (
                more := os.pread(self.descriptor, length - len(data), offset + len(data))
            ):
                data += more
        except OSError as error:
            raise UnreadableError("io", f"reading failed: {error.strerror}") from error
        self.taken += len(data)
        return data


class Folder:
    """The sessions folder, held open so that a replaced path cannot lead elsewhere. Close it after use."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        status = os.fstat(self.descriptor)
        self.identity = (status.st_dev, status.st_ino)

    def close(self) -> None:
        os.close(self.descriptor)

    def in_place(self) -> bool:
        """Whether the path still leads to this folder: false after a rename, a removal or a mount over it."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def scan(self) -> Iterator[tuple[list[str], list[int]]]:
        """Names and marks of all entries, part by part, links not followed. A name that is no UTF-8 comes escaped."""
        with os.scandir(self.descriptor) as entries:
            while part := list(islice(entries, PART)):
                try:
                    found = [entry.stat(follow_symlinks=False) for entry in part]
                except OSError:  # nearly never: hence at once where it does not happen, and one by one where it does
                    yield _one_by_one(part)
                else:
                    names = [entry.name for entry in part]
                    yield names, marks(names, found)

    def has(self, name: bytes) -> bool:
        """Whether there is an entry of that name, of whatever kind."""
        try:
            os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return False
        return True

    def fingerprint(self, name: str) -> Fingerprint | None:
        """Of the entry, links not followed; None where there is none. Raises OSError."""
        try:
            return fingerprint(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """The entry, where there is one. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def open(self, name: str, writers: Collection[int] = ()) -> OpenFile | None:
        """The file, or None where there is none. writers: ids of the users whose files are opened; none: everyone's.

        Raises UnreadableError for what is no plain file of one name (kinds `link`, `special`, `permission`,
        `io`) or belongs to another user (`owner`), TransientError where looking again may help.
        """
        try:
            # Before it is opened too: another name of our own database must not even be closed, since that
            # would drop SQLite's locks on it.
            _check(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False), writers)
            descriptor = os.open(name, OPEN, dir_fd=self.descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refusal(name, error) from error
        status = os.fstat(descriptor)
        try:
            _check(status, writers)
        except UnreadableError:
            # What got a second name only now may be our own database: left open, it keeps SQLite's locks.
            if status.st_nlink == 1 or not stat.S_ISREG(status.st_mode) or not _in_use(status):
                os.close(descriptor)
            raise
        return OpenFile(descriptor, status)


def _in_use(status: os.stat_result) -> bool:
    """Whether this process has that file open for more than reading it here; also where that cannot be told."""
    try:
        descriptors = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        return True
    for descriptor in descriptors:
        try:
            # What is only read is opened so that it does not block; what SQLite opens does.
            if os.path.samestat(os.fstat(descriptor), status) and os.get_blocking(descriptor):
                return True
        except OSError:  # it was that of the list
            continue
    return False


def _one_by_one(entries: list[os.DirEntry[str]]) -> tuple[list[str], list[int]]:
    names, found = list[str](), list[int]()
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError:  # a mount point that has gone, say: whoever opens it will be told
            found.append(0)
        else:
            found.append(fingerprint(status).mark(entry.name))
        names.append(entry.name)
    return names, found


def _check(status: os.stat_result, writers: Collection[int]) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise UnreadableError("link", "it is a symbolic link: reevd reads only plain files")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("special", "it is no regular file")
    if status.st_nlink > 1:
        raise UnreadableError("link", f"it has {status.st_nlink} names (hard links): copy it instead")
    if writers and status.st_uid not in writers:
        raise UnreadableError(
            "owner", f"it belongs to user {status.st_uid}, who is not among `writers` of the settings"
        )


def _refusal(name: str, error: OSError) -> Exception:
    if error.errno in TRANSIENT:
        return TransientError(f"{name} cannot be opened ({error.strerror}): {TRANSIENT[error.errno]}")
    if error.errno == errno.ELOOP:
        return UnreadableError("link", "it is a symbolic link: reevd reads only plain files")
    if error.errno in (errno.ENXIO, errno.ENODEV):
        return UnreadableError("special", "it is no regular file")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnreadableError("permission", "reevd may not read it: chmod g+r, or see its owner")
    return UnreadableError("io", f"opening failed: {error.strerror}")
