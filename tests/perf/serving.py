"""How fast a status is answered, and how that holds while files come in."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.harness import ROOT
from tests.perf.result import Result
from tests.perf.stage import Client, fill, home, in_process, peer, percentile, reevd, until

KNOWN = 2_000


def ask(socket: str, seconds: float, seed: int) -> None:
    """One client: asks for one execution after another, prints {"count": n, "ms": [sample]}."""
    client = Client(Path(socket))
    requests = [
        f"GET /api/v1/executions/run-{(seed * 7 + n * 13) % KNOWN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for n in range(KNOWN)
    ]
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        status, _ = client.send(requests[len(times) % KNOWN])
        assert status == 200, status
        times.append((time.perf_counter() - began) * 1e3)
    print(json.dumps(times))


def load(socket: Path, clients: int, seconds: float) -> tuple[float, float]:
    """Requests per second of all clients together, and the p99 in ms."""
    code = "import sys; from tests.perf.serving import ask; ask(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(socket), str(seconds), str(n)], cwd=ROOT, stdout=subprocess.PIPE
        )
        for n in range(clients)
    ]
    times = [json.loads(process.communicate()[0]) for process in running]
    return sum(map(len, times)) / seconds, percentile([t for one in times for t in one], 0.99)


def requests(clients: int, seconds: float) -> list[Result]:
    """Requests per second beside a bare Starlette on the very same database."""
    with home() as path, reevd(path, settle_seconds=0.05) as running:
        fill(running.sessions, KNOWN)
        client = Client(running.socket)
        until(lambda: client.json("/api/v1/health")["executions"]["Completed"] >= KNOWN, "the executions", every=0.05)
        with peer("bare", path / "bare.sock", running.database):
            until((path / "bare.sock").exists, "the bare server", every=0.02)
            sockets = running.socket, path / "bare.sock"
            rounds = [[load(socket, clients, seconds) for socket in sockets] for _ in "ab"]
    ours, floor = (statistics.mean(pair[side][0] for pair in rounds) for side in (0, 1))
    return [Result(f"status by id, {clients} clients", ours, floor, "req/s", 0.6, 0.85, larger=True)]


def requests_during_burst(files: int, clients: int, seconds: float) -> list[Result]:
    """The p99 of the same question while a burst comes in, beside the idle one."""
    with home() as path, reevd(path) as running:
        fill(running.sessions, KNOWN)
        client = Client(running.socket)
        until(lambda: client.json("/api/v1/health")["executions"]["Completed"] >= KNOWN, "the executions", every=0.05)
        time.sleep(3)  # the second looks are over: this is what idle means
        _, idle = load(running.socket, clients, seconds)
        writer = in_process(fill, running.sessions, files, "burst")
        _, busy = load(running.socket, clients, seconds)
        writer.wait()
    return [Result(f"its p99 while ingesting, {clients} clients", busy, idle, "ms", 4, 2)]
