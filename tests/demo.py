"""`make demo`: a fresh daemon, the four cases run for real as separate processes, and what the daemon saw of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import ROOT, UnixConnection, daemon, wait_until

CASES = ("001-sol-transfer", "002-spl-transfer", "003-spl-transfer-fail", "004-partial-score-spl-transfer")


class Seen(NamedTuple):
    execution: dict[str, Any]
    states: list[str]
    visible_ms: float


def watch(socket: Path, sessions: Path, execution_id: str, runner: subprocess.Popen[bytes]) -> Seen:
    """Asks without pause until the execution has ended; says how long after the closing of its file that was."""
    states: list[str] = []
    connection = UnixConnection(str(socket))

    def ended() -> dict[str, Any] | None:
        connection.request("GET", f"/api/v1/executions/{execution_id}")
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            return None
        execution: dict[str, Any] = json.loads(body)
        if not states or states[-1] != execution["status"]:
            states.append(execution["status"])
        return execution if execution["ended_at"] else None

    deadline = time.monotonic() + 60
    while (execution := ended()) is None:
        assert time.monotonic() < deadline, f"{execution_id} did not end: {states}"
    visible = time.time_ns()
    runner.wait()
    # The runner renames its finished file into place: that moment is the file's ctime.
    closed = os.stat(sessions / f"session_{execution_id}.json").st_ctime_ns
    connection.close()
    return Seen(execution, states, (visible - closed) / 1e6)


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="reevd-demo-") as home:
        (Path(home) / "benchmarks").symlink_to(ROOT / "benchmarks")
        with daemon(Path(home)) as running:
            print(f"reevd is up: {time.monotonic() - began:.2f} s; folder {running.sessions}\n")
            print(f"{'benchmark':<32}{'status':<11}{'score':>6}  {'run':>7}  {'visible':>8}  seen as")
            for case in CASES:
                execution_id = str(uuid.uuid4())
                command = [
                    sys.executable,
                    "-m",
                    "runner",
                    f"benchmarks/{case}.yml",
                    "--execution-id",
                    execution_id,
                    "--quiet",
                ]
                started = time.monotonic()
                environ = {k: v for k, v in os.environ.items() if not k.startswith("REEV")}
                runner = subprocess.Popen(command, cwd=home, env={**environ, "PYTHONPATH": str(ROOT)})
                seen = watch(running.socket, running.sessions, execution_id, runner)
                took = time.monotonic() - started
                found = seen.execution
                score = "" if found["score"] is None else f"{found['score']:.3f}"
                line = f"{case:<32}{found['status']:<11}{score:>6}  {took:5.2f} s  {seen.visible_ms:5.1f} ms"
                print(f"{line}  {' > '.join(seen.states)}")
                if found["error_message"]:
                    print(f"    {found['error_message']}")
            health = wait_until(lambda: running.get("/api/v1/health"), "health")
            counts = ", ".join(f"{count} {status}" for status, count in health["executions"].items() if count)
            print(f"\nhealth: {health['status']}; {counts}; {health['problems']} problems")
        print(f"stopped; {time.monotonic() - began:.1f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
