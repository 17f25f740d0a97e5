"""What kind of file system a folder is on: on some, other hosts write and no event tells."""

from __future__ import annotations

import os

REMOTE = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "afs", "lustre", "virtiofs", "vboxsf")
)


def remote(descriptor: int, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """The type of the file system that the open folder is on, where others may write to it unseen; else None."""
    device = os.fstat(descriptor).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}".encode()
    try:
        with open(mountinfo, "rb") as lines:  # paths are bytes, among which only \n ends a line
            for line in lines:
                fields, _, rest = line.partition(b" - ")
                if fields.split(b" ", 3)[2] == wanted:
                    kind = rest.split(b" ", 1)[0].decode(errors="replace")
                    return kind if kind in REMOTE or kind.startswith("fuse.") else None
    except FileNotFoundError:
        pass
    return None


def remote_at(path: str) -> str | None:
    """The same of the folder at a path. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return remote(descriptor)
    finally:
        os.close(descriptor)
