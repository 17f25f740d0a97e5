"""The real runner by its public `main`, each time in a process of its own, but without the start of one.

Starting Python and loading the runner takes many times as long as a run. So it is done once: this module is started as
a program, and forks itself for each run that it is asked for, as `runner.many` does. A run has its own signals, files,
folder, environment and exit status; what depends on how Python itself is started wants a real start.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.harness import ROOT

SECONDS = 60.0
LONGEST = 1 << 18


class Run:
    """A run that goes on. `stdin` leads to its standard input."""

    def __init__(self, words: list[str], environ: Mapping[str, str], cwd: Path) -> None:
        self.words = words
        self._status: int | None = None
        self._open = ExitStack()
        self._out = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (all of them end in `close`)
        self._err = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        reading, writing = os.pipe()
        self.stdin = self._open.enter_context(open(writing, "wb", 0))  # noqa: SIM115
        told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._told = self._open.enter_context(told)
        asked = json.dumps({"words": words, "environ": dict(environ), "cwd": str(cwd)}).encode()
        with telling:
            given = [reading, self._out.fileno(), self._err.fileno(), telling.fileno()]
            socket.send_fds(_origin(), [asked], given)
        os.close(reading)
        self._told.settimeout(SECONDS)
        self.pid = int(self._told.recv(LONGEST))

    @property
    def returncode(self) -> int | None:
        """As `Popen` has it."""
        return None if self._status is None else os.waitstatus_to_exitcode(self._status)

    def poll(self) -> int | None:
        if self._status is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, seconds: float = SECONDS) -> int:
        """Raises TimeoutError."""
        if self._status is None:
            self._told.settimeout(seconds)
            self._status = int(self._told.recv(LONGEST))
        return os.waitstatus_to_exitcode(self._status)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # its end may not have been told yet
                os.kill(self.pid, number)

    def said(self) -> tuple[str, str]:
        """On standard output and standard error, so far."""
        return _text(self._out), _text(self._err)

    def close(self) -> None:
        """Kills what still goes on."""
        self.send_signal(signal.SIGKILL)
        self.wait()
        self._open.close()


def run(
    *arguments: object, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`environ`: all of it; that of this process where none is given."""
    with start(*arguments, environ=environ, cwd=cwd) as made:
        made.stdin.close()
        return subprocess.CompletedProcess(made.words, made.wait(), *made.said())


@contextmanager
def start(*arguments: object, environ: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Iterator[Run]:
    """The same, while it goes on; what still does at the end is killed."""
    made = Run([str(each) for each in arguments], os.environ if environ is None else environ, cwd)
    try:
        yield made
    finally:
        made.close()


def _text(file: IO[bytes]) -> str:
    # By its place, which is nobody's to move: the run writes through the same open file.
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()


@cache
def _origin() -> socket.socket:
    """The way to the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(asked: socket.socket) -> None:
    """Runs what is asked for, and tells of each its id and how it ended, until nobody can ask any more."""
    from tests import agents

    under_way: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([asked.fileno(), *under_way], [], [])[0]:
            if ready in under_way:
                pid, telling = under_way.pop(ready)
                os.close(ready)
                with telling:
                    telling.send(str(os.waitpid(pid, 0)[1]).encode())
                continue
            message, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 4)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                _become(json.loads(message), descriptors[:3], agents.EVERY)
            telling = socket.socket(fileno=descriptors.pop())
            for descriptor in descriptors:
                os.close(descriptor)
            under_way[os.pidfd_open(pid)] = pid, telling
            telling.send(str(pid).encode())


def _become(asked: dict[str, Any], descriptors: list[int], agents: Any) -> NoReturn:
    """Never returns: what the interpreter does at the end of a program is done here."""
    from runner.cli import main

    status = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, 1024)  # whatever the others were given
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["environ"])
        status = main(asked["words"], mode="checkout", agents=agents)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    except BaseException:  # noqa: BLE001 (as the interpreter itself)
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import httpx  # noqa: F401 (here and below: what runs load)

    import runner.agents.language_model
    import runner.case_file
    import runner.chain.litesvm
    import runner.chain.rpc
    import runner.execute
    import runner.jupiter
    import runner.needs
    import runner.report
    import runner.telemetry
    import runner.tools.schema
    import runner.validate  # noqa: F401

    serve(socket.socket(fileno=int(sys.argv[1])))
