"""What a daemon costs while it runs: memory, descriptors, processor time, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.harness import children


class Cost(NamedTuple):
    """Of a process and its children together.

    pss_mb   memory, what is shared counted once: libraries count for less while others have them loaded too
    own_mb   the part of it that is theirs alone: not backed by any file
    """

    pss_mb: float
    own_mb: float
    descriptors: int
    threads: int


def family(pid: int) -> list[int]:
    """The process and its children."""
    return [pid, *children(pid)]


def pss_mb(pid: int, kind: str = "Pss") -> float:
    """`Pss_Anon`: of what is backed by no file."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} tells no {kind}")


def cost(pid: int) -> Cost:
    pids = family(pid)
    return Cost(
        sum(map(pss_mb, pids)),
        sum(pss_mb(p, "Pss_Anon") for p in pids),
        sum(len(os.listdir(f"/proc/{p}/fd")) for p in pids),
        sum(len(os.listdir(f"/proc/{p}/task")) for p in pids),
    )


def cpu_seconds(pid: int) -> float:
    """Processor time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
