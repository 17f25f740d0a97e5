"""The real runner by its public `main`, each time in a process of its own, but without the start of one.

Starting Python and loading the runner takes many times as long as a run. So it is done once: this module is started as
a program, and forks itself for each run that it is asked for, as `runner.many` does. A run has its own signals, files,
folder, environment and exit status; what depends on how Python itself is started wants a real start.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from tests.harness import ROOT

SECONDS = 60.0
LONGEST = 1 << 18


def run(
    *arguments: object, environ: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """`environ`: all of it; that of this process where none is given."""
    words = [str(each) for each in arguments]
    asked = {"words": words, "environ": dict(os.environ if environ is None else environ), "cwd": str(cwd)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        ours = _origin()
        socket.send_fds(ours, [json.dumps(asked).encode()], [out.fileno(), err.fileno()])
        pid = int(ours.recv(LONGEST))
        try:
            status = int(ours.recv(LONGEST))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            ours.recv(LONGEST)
            raise AssertionError(f"not over within {SECONDS:g} s: {words}; {_read(err)}") from None
        return subprocess.CompletedProcess(words, os.waitstatus_to_exitcode(status), _read(out), _read(err))


def _read(file: Any) -> str:
    file.seek(0)
    with io.TextIOWrapper(file, encoding="utf-8") as text:
        return text.read()


@cache
def _origin() -> socket.socket:
    """The way to the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(SECONDS)
    command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
    process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(asked: socket.socket) -> None:
    """One run after another, until nobody can ask for one any more."""
    from tests import agents

    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            asked.close()
            _become(json.loads(message), descriptors, agents.EVERY)
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(str(pid).encode())
        asked.send(str(os.waitpid(pid, 0)[1]).encode())


def _become(asked: dict[str, Any], descriptors: list[int], agents: Any) -> NoReturn:
    """Never returns: what the interpreter does at the end of a program is done here."""
    from runner.cli import main

    status = 1
    try:
        for descriptor, number in zip(descriptors, (1, 2), strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["environ"])
        status = main(asked["words"], mode="checkout", agents=agents)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0
    except BaseException:  # noqa: BLE001 (as the interpreter itself)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
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
