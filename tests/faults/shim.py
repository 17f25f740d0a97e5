"""The ways from reevd to the disk, each of them through a Disk: SQLite's through a VFS, the others through `os`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from reevd import journal, restore, store, successor
from tests.faults.disk import Disk, Inode, Operation

NAME = "faulty"
CODES: dict[Operation, int] = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
}


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        self._inode = disk.inode(self._path) if self._path else Inode(b"")
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        _check(self._disk, "read")
        return super().xRead(amount, offset)

    def xWrite(self, data: apsw.Buffer, offset: int) -> None:  # noqa: N802
        content = bytes(data)
        try:
            _check(self._disk, "write")
        except apsw.Error:
            if not self._disk.dead:
                self._part(content[: self._disk.dice.randrange(len(content) + 1)], offset)
            raise
        self._part(content, offset)

    def _part(self, content: bytes, offset: int) -> None:
        super().xWrite(content, offset)
        self._inode.write(offset, content)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        _check(self._disk, "truncate")
        super().xTruncate(newsize)
        self._inode.truncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        _check(self._disk, "sync")
        super().xSync(flags)
        self._disk.sync(self._path, self._inode)


class _Vfs(apsw.VFS):
    """Lies over SQLite's own. `disk` is exchanged from one trial to the next."""

    def __init__(self) -> None:
        self.disk = Disk()
        super().__init__(NAME, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        _check(self.disk, "open")
        return _File(self.disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        _check(self.disk, "delete")
        super().xDelete(filename, syncdir)
        self.disk.delete(filename, synced=bool(syncdir))


class _Os:
    """`os`, as a module of reevd sees it."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._files: dict[int, tuple[str, Inode]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        self._check("open")
        if flags & os.O_DIRECTORY:
            return os.open(path, flags, mode)
        inode = self._disk.inode(path) if not flags & os.O_EXCL or not os.path.exists(path) else Inode(b"")
        descriptor = os.open(path, flags, mode)
        self._files[descriptor] = path, inode
        if flags & os.O_TRUNC:
            inode.truncate(0)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._files.pop(descriptor, None)
        os.close(descriptor)

    def write(self, descriptor: int, data: bytes) -> int:
        _, inode = self._files[descriptor]
        try:
            self._check("write")
        except OSError:
            if not self._disk.dead:
                part = data[: self._disk.dice.randrange(len(data) + 1)]
                inode.write(len(inode.content), part)
                os.write(descriptor, part)
            raise
        inode.write(len(inode.content), data)
        return os.write(descriptor, data)

    def fdatasync(self, descriptor: int) -> None:
        self._check("sync")
        self._disk.sync(*self._files[descriptor])

    def fsync(self, descriptor: int) -> None:
        """Of a folder: a new name is safe at once, see Disk.rename."""
        self._check("sync")
        if descriptor in self._files:
            self._disk.sync(*self._files[descriptor])

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._check("truncate")
        os.ftruncate(descriptor, size)
        self._files[descriptor][1].truncate(size)

    def rename(self, old: str, new: str) -> None:
        self._check("rename")
        os.rename(old, new)
        self._disk.rename(old, new)

    def _check(self, operation: Operation) -> None:
        full = self._disk.fault is not None and self._disk.fault.kind == "full"
        if self._disk.fails(operation):
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number))


def _check(disk: Disk, operation: Operation) -> None:
    full = disk.fault is not None and disk.fault.kind == "full" and operation == "write"
    if disk.fails(operation):
        raise apsw.exception_for(apsw.SQLITE_FULL if full else CODES[operation])


_vfs = _Vfs()


@contextmanager
def through(disk: Disk) -> Iterator[str]:
    """All that reevd writes goes through `disk`. Yields the name of the VFS for its database."""
    modules: tuple[Any, ...] = (journal, restore, store, successor)
    _vfs.disk = disk
    faulty = _Os(disk)
    for module in modules:
        module.os = faulty
    try:
        yield NAME
    finally:
        for module in modules:
            module.os = os
        _vfs.disk = Disk()
