"""Real processes for the tests: a daemon that can be started, asked, killed; a condition that is waited for."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


def hide_rich(folder: Path) -> None:
    """From whoever looks for packages there first: it comes with the tests' own, and structlog loads it where it is."""
    (folder / "rich.py").write_text('raise ImportError("of the tests, not of reevd")\n')


def wait_until(condition: Callable[[], T], what: str, *, seconds: float = 15.0, log: Callable[[], str] = str) -> T:
    """The first truthy value of `condition`; else an AssertionError that says what was waited for, with the log."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{log()}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return value


def alive(pid: int) -> bool:
    """Whether the process still runs. One that has ended but that nobody has asked for yet (a zombie) does not: not
    every machine has a first process that asks for orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """In this process, no file can be made larger: writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def children(pid: int, command: str = "") -> list[int]:
    """The processes that this one's threads have started, with `command` in their command line; none once it ended."""
    try:
        told = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        started = [int(child) for child in " ".join(told).split()]
        return [child for child in started if command.encode() in Path(f"/proc/{child}/cmdline").read_bytes()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


class Daemon:
    """One `reevd` over one folder; it may be started and ended many times."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        self.sessions = home / "logs" / "sessions"
        self.database = home / "logs" / "state" / "reevd.sqlite3"
        self.socket = Path(str(settings.get("socket", home / "logs" / "state" / "reevd.sock")))
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self._log = home / "reevd.log"
        self.sessions.mkdir(parents=True, exist_ok=True)

    def start(self, *, ready: bool = True) -> Daemon:
        """Starts the daemon and, unless told otherwise, waits until its first scan is stored."""
        environ = {**os.environ, **{f"REEVD_{k.upper()}": str(v) for k, v in self.settings.items()}}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reevd.cli"], cwd=self.home, env=environ, stderr=log, stdin=subprocess.DEVNULL
            )
        if ready:
            wait_until(self._ready, "the daemon is ready", log=self.log)
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.process.returncode}\n{self.log()}"
        try:
            return self.get("/api/v1/health")["watch"]["last_rescan_at"] is not None
        except OSError:
            return False

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        return self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9; its server process sees the end by itself."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        status = self.process.wait(15)
        self.process = None
        return status

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of the answer."""
        connection = UnixConnection(str(self.socket))
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, answer = self.request("GET", path)
        assert status == 200, (path, status, answer)
        return answer

    def execution(self, execution_id: str) -> dict[str, Any] | None:
        """The execution as the API shows it, or None where it is not known."""
        status, answer = self.request("GET", f"/api/v1/executions/{execution_id}")
        return answer if status == 200 else None

    def wait_for(self, execution_id: str, status: str, *, seconds: float = 15.0) -> dict[str, Any]:
        """The execution once it has that status."""

        def reached() -> dict[str, Any] | None:
            found = self.execution(execution_id)
            return found if found and found["status"] == status else None

        what = f"{execution_id} is {status}"
        return wait_until(reached, what, seconds=seconds, log=lambda: f"{self.execution(execution_id)}\n{self.log()}")


@contextmanager
def daemon(home: Path, **settings: object) -> Iterator[Daemon]:
    """A running daemon, ended afterwards however the test went."""
    running = Daemon(home, **settings)
    try:
        yield running.start()
    finally:
        if running.process is not None:
            running.stop()


def run_runner(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the real runner to its end, in `home`."""
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        cwd=home,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def session(execution_id: str, **fields: object) -> dict[str, Any]:
    """A finished session file's content, as a writer in another language might leave it."""
    return {
        "session_id": execution_id,
        "benchmark_id": "001-sol-transfer",
        "agent_type": "deterministic",
        "start_time": 1_760_000_000,
        "end_time": 1_760_000_003,
        "events": [],
        "final_result": {"success": True, "score": 1.0, "status": "Succeeded", "execution_time_ms": 3000, "data": {}},
        **fields,
    }


def leave(folder: Path, execution_id: str, content: object) -> Path:
    """Leaves a session file whole, by rename."""
    path = folder / f"session_{execution_id}.json"
    hidden = folder / f".{path.name}.tmp"
    hidden.write_text(content if isinstance(content, str) else json.dumps(content))
    hidden.rename(path)
    return path
