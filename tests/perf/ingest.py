"""How soon a file is visible, how fast a burst of them is, and how fast telemetry."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import apsw
import orjson

from tests.perf import floors
from tests.perf.result import Result
from tests.perf.stage import Client, apart, document, fill, home, in_process, peer, percentile, reevd, sessions, until

COMPLETED = b'"status":"Completed"'


def _until_seen(folder: Path, name: str, seen: Callable[[], bool]) -> float:
    """Milliseconds from the rename of a file to its being seen.

    Whoever asks has been asking all the time, of reevd as of the floor: else it is the waking of an idle process that
    is measured.
    """
    hidden, path = folder / ".new", folder / f"session_{name}.json"
    hidden.write_bytes(document(name))
    moment = time.perf_counter() + 0.002 + hash(name) % 7 * 0.0005  # not in step with anything
    while time.perf_counter() < moment:
        assert not seen()
    began = time.perf_counter()
    os.rename(hidden, path)
    while not seen():
        pass
    return (time.perf_counter() - began) * 1e3


def latency(files: int) -> list[Result]:
    """From the rename of one session file to its being visible."""
    ours, floor = [], []
    with (
        home() as path,
        reevd(path / "reevd") as running,
        peer("raw", _made(path / "in"), path / "floor.db") as raw,
        apart(running.process, raw),
    ):
        client, db = Client(running.socket), apsw.Connection(str(path / "floor.db"), flags=apsw.SQLITE_OPEN_READONLY)
        query = "SELECT 1 FROM execution_states WHERE execution_id = ?"

        def in_floor(name: str) -> bool:
            return bool(db.execute(query, (name,)).fetchall())

        for number in range(files):
            name = f"one-{number}"
            request = f"GET /api/v1/executions/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            ours.append(_until_seen(running.sessions, name, lambda r=request: COMPLETED in client.send(r)[1]))  # type: ignore[misc]
            floor.append(_until_seen(path / "in", name, partial(in_floor, name)))
        db.close()
    return [
        Result("rename to visible, p50", percentile(ours, 0.5), percentile(floor, 0.5), "ms", 3, 1.4),
        Result("rename to visible, p99", percentile(ours, 0.99), percentile(floor, 0.99), "ms", 3, 1.5),
    ]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _count(db: apsw.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM execution_states").fetchall()[0][0])


def burst(files: int) -> list[Result]:
    """Files per second while another process writes them as fast as it can, from its start to the last one visible.

    With the folder on disk, as it usually is, where the writer sets the pace; and in memory, where it does not.
    """
    on_disk = _ours(files, home), _raw(files, home)
    in_memory = _ours(files, sessions), _raw(files, sessions)
    naive, lost = _naive(files)
    beside, note = "burst against naive watchdog + sqlite3", f"in memory; the script lost {lost:.0%}"
    return [
        Result("burst, all visible", *on_disk, "files/s", 0.5, 1.0, larger=True, note="on disk; 0 lost"),
        Result("the same", *in_memory, "files/s", None, None, larger=True, note="in memory: the writer never waits"),
        Result(beside, in_memory[0], naive, "files/s", 10, 25, larger=True, note=note),
    ]


Place = Callable[[], AbstractContextManager[Path]]


def _ours(files: int, place: Place) -> float:
    with home() as path, place() as folder, reevd(path, sessions_dir=folder) as running:
        db = apsw.Connection(str(running.database), flags=apsw.SQLITE_OPEN_READONLY)
        writer = in_process(fill, folder, files)
        began = time.perf_counter()
        until(lambda: _count(db) >= files, "the burst", every=0.02)  # as the floor is asked, at the floor's cost
        client = Client(running.socket)  # not sooner: who says nothing for a minute is hung up on
        seen = client.json("/api/v1/health")["executions"]["Completed"]
        writer.wait()
        rate = files / (time.perf_counter() - began)
        assert seen == files, f"{seen} of {files} are answered as Completed"
        return rate


def _raw(files: int, place: Place) -> float:
    with home() as path, place() as folder, peer("raw", folder, path / "floor.db"):
        db = apsw.Connection(str(path / "floor.db"), flags=apsw.SQLITE_OPEN_READONLY)
        writer = in_process(fill, folder, files)
        began = time.perf_counter()
        until(lambda: _count(db) >= files, "the floor's burst", every=0.02)
        writer.wait()
        return files / (time.perf_counter() - began)


def _naive(files: int) -> tuple[float, float]:
    """Files per second that it stored, and the share that it lost."""
    with home() as path, sessions() as folder, peer("naive", folder, path / "naive.db"):
        db = apsw.Connection(str(path / "naive.db"), flags=apsw.SQLITE_OPEN_READONLY)
        db.set_busy_timeout(5_000)
        fill_process = in_process(fill, folder, files)
        began = time.perf_counter()
        count, last = 0, began
        while fill_process.poll() is None or time.perf_counter() - last < 2:
            time.sleep(0.05)
            if (now := _count(db)) != count:
                count, last = now, time.perf_counter()
        return count / (last - began), 1 - count / files


def _lines(name: str, count: int) -> list[bytes]:
    at = "2026-01-01T00:00:00.000000Z"
    asked = {"timestamp": at, "session_id": name, "event_type": "ToolInput"}
    asked["tool_input"] = {"tool_name": "sol_transfer", "tool_args": {"recipient": "R" * 44, "amount": 100}}  # type: ignore[assignment]
    told = {"timestamp": at, "session_id": name, "event_type": "ToolOutput", "timing": {"step_timeuse_ms": 3}}
    told["tool_output"] = {"success": True, "results": {"signature": "S" * 88}}  # type: ignore[assignment]
    pair = [json.dumps(event).encode() + b"\n" for event in (asked, told)]
    return pair * (count // 2)


def append(folder: Path, runs: int, lines: int) -> None:
    """All runs at once, a line each in turn, as many processes would."""
    texts = [_lines(f"live-{run}", lines) for run in range(runs)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    files = [os.open(folder / f"enhanced_otel_live-{run}.jsonl", flags, 0o644) for run in range(runs)]
    for number in range(lines):
        for file, text in zip(files, texts, strict=True):
            os.write(file, text[number])


def telemetry(runs: int, lines: int) -> list[Result]:
    """Lines per second, from the first append to the last call visible."""
    with home() as path, reevd(path) as running:
        db = apsw.Connection(str(running.database), flags=apsw.SQLITE_OPEN_READONLY)
        query = "SELECT coalesce(sum(tool_calls), 0) FROM execution_states"
        writer = in_process(append, running.sessions, runs, lines)
        began = time.perf_counter()
        until(lambda: db.execute(query).fetchall()[0][0] >= runs * lines // 2, "the telemetry", every=0.02)
        ours = runs * lines / (time.perf_counter() - began)
        writer.wait()
        db.close()
    return [Result("200 runs appending telemetry", ours, _parsed(runs, lines), "lines/s", 0.4, 0.7, larger=True)]


def _parsed(runs: int, lines: int) -> float:
    """The floor: parse all lines, store the calls in one transaction."""
    texts = [b"".join(_lines(f"live-{run}", lines)) for run in range(runs)]
    with home() as path:
        db = floors.open_database(path / "floor.db")
        began = time.perf_counter()
        with db:
            for run, text in enumerate(texts):
                events = [orjson.loads(line) for line in text.splitlines()]
                calls = [
                    (f"live-{run}", n, *_call(asked, told))
                    for n, (asked, told) in enumerate(zip(events[::2], events[1::2], strict=True))
                ]
                db.executemany(floors.INSERT_CALL, calls)
        return runs * lines / (time.perf_counter() - began)


def _call(asked: dict[str, dict[str, object]], told: dict[str, dict[str, object]]) -> tuple[object, str, str]:
    params, result = asked["tool_input"]["tool_args"], told["tool_output"]["results"]
    return asked["tool_input"]["tool_name"], orjson.dumps(params).decode(), orjson.dumps(result).decode()
