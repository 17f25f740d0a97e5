"""`reevctl trace` and `reevctl transactions`, for real runs of the four cases."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from threading import Thread

import pytest

from tests.demo import CASES
from tests.e2e.test_ctl import ctl
from tests.harness import ROOT, Daemon, daemon, leave, run_runner, session

# What differs from run to run: the wallets' fresh keys, and how long it took.
ADDRESS = re.compile(r"\b[1-9A-HJ-NP-Za-km-z]{32,44}\b *")
TOOK = re.compile(r"\d[\d.,]* m?s\b")
NAME = "../\x1b[31m?x=#%\u202e"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemon(tmp_path_factory.mktemp("traces"), settle_seconds=0.05) as made:
        for case in CASES:
            yml = str(ROOT / "benchmarks" / f"{case}.yml")
            run_runner(made.home, yml, "--execution-id", f"recorded-{case}", "--sessions-dir", str(made.sessions))
        leave(made.sessions, "odd", session("odd", benchmark_id=NAME))
        for execution_id in ("odd", *(f"recorded-{case}" for case in CASES)):
            made.wait_for(execution_id, "Failed" if "fail" in execution_id else "Completed")
        yield made


def golden(case: str, what: str) -> str:
    parts = re.split(
        r"^==== .*: (\w+).*\n", (ROOT / "fixtures" / "golden" / f"recorded-{case}.txt").read_text(), flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))[what].strip()


def usual(text: str) -> str:
    return TOOK.sub("TIME", ADDRESS.sub("KEY ", text)).strip()


@pytest.mark.parametrize("case", CASES)
def test_a_real_run_reads_as_the_recorded_one(running: Daemon, case: str) -> None:
    done = ctl(running, "trace", f"recorded-{case}")
    assert (done.returncode, done.stderr) == (0, "")
    assert usual(done.stdout) == usual(golden(case, "trace"))
    done = ctl(running, "transactions", f"recorded-{case}", "--cu")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == golden(case, "transactions")
    done = ctl(running, "transactions", f"recorded-{case}", "--format", "plain")
    assert done.stdout.strip() == golden(case, "plain")


def test_json_is_what_the_api_answered(running: Daemon) -> None:
    path = f"/api/v1/execution-logs/{CASES[0]}?execution_id=recorded-{CASES[0]}"
    assert json.loads(ctl(running, "trace", f"recorded-{CASES[0]}", "--json").stdout) == running.get(path)


def test_what_cannot_be_shown(running: Daemon) -> None:
    assert ctl(running, "trace", "nix").returncode == 4
    assert ctl(running, "transactions", "nix").returncode == 4
    assert ctl(running, "transactions", "odd", "--format", "html").returncode == 2
    done = ctl(running, "transactions", "odd")
    assert (done.returncode, done.stdout) == (0, "none: it ended without logs: it has no steps\n")


def test_a_hostile_name_is_asked_for_and_escaped(running: Daemon) -> None:
    done = ctl(running, "trace", "odd")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("✔ \\x1b[31m?x=#%\\u202e (Score: 100.0%): Succeeded\n├─ ")


class Stranger(BaseHTTPRequestHandler):
    """Not reevd: its text is not escaped."""

    def do_GET(self) -> None:
        told = {"benchmark_id": "b", "trace": "one\n\x1b[31mtwo\u202e", "transaction_logs": "", "message": "\x07"}
        text = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_what_a_socket_answers_is_not_trusted(running: Daemon, tmp_path: Path) -> None:
    with UnixStreamServer(str(tmp_path / "s"), Stranger) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            shown, logs = (
                ctl(running, "--socket", str(tmp_path / "s"), name, "x") for name in ("trace", "transactions")
            )
        finally:
            server.shutdown()
            thread.join(10)
    assert (shown.stdout, shown.stderr) == ("one\n\\x1b[31mtwo\\u202e\n", "")
    assert logs.stdout == "none: \\x07\n"


def test_colour_is_for_terminals_and_changes_no_word(running: Daemon) -> None:
    execution_id = f"recorded-{CASES[2]}"
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "reevd.ctl", "trace", execution_id]
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    data = b""
    with subprocess.Popen(command, cwd=running.home, stdout=slave, env=environment) as process:
        os.close(slave)
        try:
            while piece := os.read(master, 65536):
                data += piece
        except OSError:
            pass  # the other end of a terminal closes with an error
        process.wait(20)
    os.close(master)
    text = data.decode().replace("\r\n", "\n")
    assert "\x1b[31m✘\x1b[0m 003" in text
    assert "\x1b[1mACTION\x1b[0m" in text
    plain = ctl(running, "trace", execution_id).stdout
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[\d+m", "", text) == plain
