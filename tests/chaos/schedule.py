"""One schedule: writers, an engine that is killed and started, a reader that never stops looking, an oracle."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from reevd import background, patrol
from reevd.bounds import Bounds, Pace
from reevd.clock import Clock
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.times import rfc3339
from tests.chaos import oracle, reader
from tests.chaos.writers import Run

BOUNDS = Bounds(settle_ns=20_000_000)
USUAL = patrol.BATCH, patrol.BACKLOG, patrol.PILE
background.FULL = math.inf  # how full this machine may be
_children: set[int] = set()
SCRATCH = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Outcome(NamedTuple):
    seed: int
    kills: int
    stops: int
    executions: int
    looks: int
    wrong: list[str]


class LaterClock(Clock):
    """Some seconds ahead, so that all has come to rest; goes on by itself and further when told."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._ahead = 0
        self.skip(seconds)

    def skip(self, seconds: float) -> None:
        self.base += int(seconds * 1e9)
        self._ahead += int(seconds * 1e9)

    def stamp(self) -> int:
        return super().stamp() + self._ahead

    def step(self) -> int:
        return 0

    @staticmethod
    def boot() -> str:
        return os.urandom(8).hex()  # always another one: this is the same clock later, not one that was set


def daemon(sessions: Path, database: Path, runs: list[Run]) -> None:
    """The engine as a process: until SIGTERM. The runners' locks are theirs alone."""
    for writer in runs:
        writer.let_go()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    engine = Engine(str(sessions), str(database), bounds=BOUNDS, pace=Pace(rescan=0.05))
    while not stopping:
        engine.poll.poll(min(engine.step(), 0.005))
    engine.close()


def fork(work: object, *arguments: object) -> int:
    """Runs `work` in a child that ends with it; the child's id."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid:
        _children.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    else:
        status = 1
        try:
            work(*arguments)  # type: ignore[operator]
            status = 0
        except BaseException:  # noqa: BLE001 - the parent sees the status; the text goes to stderr
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def end(pid: int, number: int) -> int:
    """Signals a child and waits for it. Its exit status, or minus the signal."""
    os.kill(pid, number)
    _children.discard(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(seed: int) -> Outcome:
    """Plays the schedule of that seed. In every third, whatever there is to look at is much, and is looked at ahead.

    In every ninth, a patient thread looks.
    """
    dice = random.Random(seed)
    home = Path(tempfile.mkdtemp(prefix="chaos-", dir=SCRATCH))
    batch, backlog, pile = USUAL
    patrol.BATCH, patrol.BACKLOG = (2, 2) if seed % 3 == 0 else (batch, backlog)
    patrol.PILE = 2 if seed % 9 == 0 else pile
    try:
        return _play(seed, dice, home)
    finally:
        for pid in list(_children):
            end(pid, signal.SIGKILL)
        shutil.rmtree(home)


def _play(seed: int, dice: random.Random, home: Path) -> Outcome:
    sessions, database = home / "sessions", home / "db"
    sessions.mkdir()
    runs = [Run(sessions, f"run-{n}", dice) for n in range(dice.randrange(1, 7))]
    wrong: list[str] = []
    kills = stops = 0
    receive, send = os.pipe()
    watcher = fork(reader.watch, database, send)
    os.close(send)
    pid = fork(daemon, sessions, database, runs)
    for _ in range(dice.randrange(10, 60)):
        dice.choice(runs).step()
        chance = dice.random()
        if chance < 0.12:
            _spin(dice.random() * 0.004)
            wrong += _died(end(pid, signal.SIGKILL), -signal.SIGKILL)
            kills += 1
            for _ in range(dice.randrange(4)):
                dice.choice(runs).step()
            pid = fork(daemon, sessions, database, runs)
        elif chance < 0.15:
            wrong += _died(end(pid, signal.SIGTERM), 0)
            stops += 1
            pid = fork(daemon, sessions, database, runs)
        elif chance < 0.5:
            time.sleep(dice.random() * 0.005)  # part of the schedule: what the engine gets done meanwhile
        elif chance < 0.54:
            time.sleep(0.025)
    if dice.random() < 0.5:
        wrong += _died(end(pid, signal.SIGKILL), -signal.SIGKILL)
        kills += 1
    else:
        wrong += _died(end(pid, signal.SIGTERM), 0)
    for writer in runs:
        writer.finish()
    os.kill(watcher, signal.SIGTERM)
    told = json.loads(_read_all(receive))
    wrong += _died(end(watcher, signal.SIGTERM), 0)
    wrong += told["wrong"]
    wrong += _at_rest(sessions, database, runs, set(told["ended"]), destroy=dice.random() < 0.3)
    return Outcome(seed, kills, stops, len(runs), told["looks"], wrong)


def _at_rest(sessions: Path, database: Path, runs: list[Run], shown: set[str], *, destroy: bool) -> list[str]:
    """Lets everything come to rest, compares with the oracle, and again after the database was lost."""
    wrong = _settled(sessions, database, runs, shown, Limits(), 10)
    if destroy:
        # Only what came to rest while the database stood can be expected back from the journal.
        ended = {i for i, row in _rows(database).items() if row.status not in ("Queued", "Running")}
        for ending in ("", "-wal", "-shm"):
            Path(f"{database}{ending}").unlink(missing_ok=True)
        if hash(str(database)) % 2:
            database.write_bytes(b"garbage, not a database" * 400)
        wrong += [
            f"after the loss of the database: {w}" for w in _settled(sessions, database, runs, ended, Limits(), 10)
        ]
    wrong += _settled(sessions, database, runs, shown, Limits(), 4000)
    stuck = [i for i, row in _rows(database).items() if row.status in ("Queued", "Running")]
    return wrong + [f"{i} is stuck" for i in stuck]


def _settled(
    sessions: Path, database: Path, runs: list[Run], shown: set[str], limits: Limits, later: float
) -> list[str]:
    clock = LaterClock(later)
    engine = Engine(str(sessions), str(database), bounds=BOUNDS, limits=limits, clock=clock)
    try:
        engine.settle()
        deadline = time.monotonic() + 5
        while (pause := engine.step()) < 0.05 or engine.store.due(rfc3339(clock.now())):
            if time.monotonic() > deadline:
                return [f"does not come to rest: {engine.health()}"]
            clock.skip(pause)
        verdict = engine.store.rows("PRAGMA integrity_check")
        damage = [] if verdict == [("ok",)] else [f"integrity: {verdict[:3]}"]
    finally:
        engine.close()
    written = {writer.id: writer.written for writer in runs}
    return damage + oracle.violations(sessions, _rows(database), {w.id for w in runs if _exists(w)}, written, shown)


def _exists(writer: Run) -> bool:
    return writer.session.exists() or writer.telemetry.exists()


def _rows(database: Path) -> dict[str, oracle.Row]:
    import apsw

    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        calls: dict[str, list[tuple[str, str]]] = {}
        for i, name, status in db.execute(
            "SELECT execution_id, tool_name, status FROM tool_calls ORDER BY execution_id, seq"
        ):
            calls.setdefault(str(i), []).append((str(name), str(status)))
        query = "SELECT execution_id, status, score, benchmark_id, agent FROM execution_states"
        return {row[0]: oracle.Row(*row[1:], calls.get(row[0], [])) for row in db.execute(query).fetchall()}
    finally:
        db.close()


def _died(status: int, expected: int) -> list[str]:
    return [] if status == expected else [f"the engine ended with {status}, not {expected}"]


def _spin(seconds: float) -> None:
    """Waits without sleeping: the moment of a kill must be finer than the scheduler's."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
