"""The room on the disks, and the log that somebody keeps from being given back: told before anything fails."""

from __future__ import annotations

import os
from collections.abc import Iterable

LEAST_BYTES = 200 << 20
LEAST_SHARE = 20  # a twentieth of a disk that is small altogether
BIG_LOG = 512 << 20


def shortages(paths: Iterable[str], log_bytes: int) -> list[str]:
    """What is short, as sentences. log_bytes: of SQLite's write-ahead log. Raises OSError."""
    found = list[str]()
    told = set[int]()
    for path in paths:
        if (device := os.stat(path).st_dev) in told:
            continue
        told.add(device)
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        if free < min(LEAST_BYTES, disk.f_blocks * disk.f_frsize // LEAST_SHARE):
            found.append(f"only {free >> 20:,} MiB are free at {path}: results may not find room; see reevctl doctor")
        elif disk.f_files and not disk.f_favail:
            found.append(f"no inode is free at {path}: results find no room; see reevctl doctor")
    if log_bytes > BIG_LOG:
        found.append(
            f"the database's log has {log_bytes >> 20:,} MiB: a reader keeps it from being given back; "
            "end queries that have run for long"
        )
    return found
