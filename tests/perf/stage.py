"""The stage of a measurement: fresh folders, reevd or a peer as a process, a client that costs next to nothing."""

from __future__ import annotations

import atexit
import compileall
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import ROOT, Daemon, children, hide_rich, session

PADDING = "x" * 1_400  # what a captured session file has beside the fields that count: 2.4 KB in all
CALLS = [
    {"tool_name": f"tool-{n}", "start_time": 1_760_000_001, "end_time": 1_760_000_002, "status": "success",
     "params": {"amount": n}, "result": {"signature": "S" * 88}}
    for n in range(2)
]  # fmt: skip


def document(execution_id: str) -> bytes:
    """A finished session file of the usual size, with two tool calls."""
    final = {
        "success": True,
        "score": 1.0,
        "status": "Succeeded",
        "execution_time_ms": 3000,
        "data": {},
        "tools": CALLS,
    }
    return json.dumps(session(execution_id, metadata={"prompt": PADDING}, final_result=final)).encode()


@contextmanager
def as_installed() -> Iterator[None]:
    """Processes that are started meanwhile are as on a host: compiled, and without what the tests alone bring.

    structlog loads rich wherever it is, a third of the time that a start takes; no dependency of reevd has it.
    """
    for package in ("reevd", "runner", "tests"):
        compileall.compile_dir(ROOT / package, quiet=1)
    with home() as path:
        hide_rich(path)
        os.environ["PYTHONPATH"] = str(path)
        try:
            yield
        finally:
            del os.environ["PYTHONPATH"]


@contextmanager
def home() -> Iterator[Path]:
    """A fresh folder for each round, which is removed when the program ends.

    Not sooner: for one to five minutes after a file was removed, ext4 without a journal searches on past its inode at
    each that it gives (RECENTCY_DIRTY in fs/ext4/ialloc.c), and who writes is up to nine times as slow meanwhile.
    """
    made = Path(tempfile.mkdtemp(prefix="reevd-bench-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    yield made


@contextmanager
def sessions() -> Iterator[Path]:
    """A folder in memory where there is one, so that the writer is faster than whoever reads. Databases are on disk."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="reevd-bench-", dir=memory if memory.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def notified(path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd is told: of all daemons that are started meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path))
        told.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = str(path)
        try:
            yield told
        finally:
            del os.environ["NOTIFY_SOCKET"]


@contextmanager
def reevd(path: Path, **settings: object) -> Iterator[Daemon]:
    running = Daemon(path, **settings)
    try:
        yield running.start()
    finally:
        if running.process is not None:
            running.stop()


@contextmanager
def peer(name: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Running, and past its start."""
    command = [sys.executable, "-m", "tests.perf.peers", name, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.read(1)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def apart(*processes: subprocess.Popen[bytes] | None) -> Iterator[None]:
    """Cores for the caller and for the processes that write, and for the server one more, or else the caller's.

    Who asks and who answers take turns: they need one core between them, as a floor that asks SQLite itself needs one.
    Beside the writer, the server would take its core at each question, and it is that which would be measured.
    """
    cores = sorted(os.sched_getaffinity(0))
    asking, writing = cores[0], cores[1 % len(cores)]
    answering = cores[2] if len(cores) > 2 else asking
    os.sched_setaffinity(0, {asking})
    for process in filter(None, processes):
        os.sched_setaffinity(process.pid, {writing})
        for server in children(process.pid):
            os.sched_setaffinity(server, {answering})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


class Client:
    """One kept-alive connection that sends what was written before and reads one answer."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        until(lambda: self._connect(path), "the socket answers", every=0.002)

    def _connect(self, path: Path) -> bool:
        try:
            self._socket.connect(str(path))
        except OSError:
            return False
        return True

    def get(self, path: str) -> tuple[int, bytes]:
        return self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def send(self, request: bytes) -> tuple[int, bytes]:
        """The status and the body."""
        self._socket.sendall(request)
        data = self._socket.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._socket.recv(65536)
        length = int(data[:end].lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = data[end + 4 :]
        while len(body) < length:
            body += self._socket.recv(65536)
        return int(data[9:12]), body

    def json(self, path: str) -> Any:
        return json.loads(self.get(path)[1])

    def close(self) -> None:
        self._socket.close()


def until(condition: Callable[[], bool], what: str, *, seconds: float = 300, every: float = 0.0) -> None:
    """Asks as often as it can, or `every` so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        if every:
            time.sleep(every)


def fill(folder: Path, count: int, prefix: str = "run") -> None:
    """So many finished session files, as fast as this process can."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    text = document("@@@@").decode().split("@@@@")
    for number in range(count):
        name = f"{prefix}-{number}"
        file = os.open(f"session_{name}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=descriptor)
        os.write(file, name.join(text).encode())
        os.close(file)
    os.close(descriptor)


def in_process(function: Callable[..., object], *arguments: object) -> subprocess.Popen[bytes]:
    """Runs a function of a tests.perf module in a process of its own; returns when it is about to begin."""
    code = f"import os, {function.__module__} as m; from pathlib import Path; os.write(1, b'!');"
    code += f" m.{function.__name__}(*{arguments!r})".replace("PosixPath(", "Path(")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    return process


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
