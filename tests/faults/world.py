"""A sessions folder, an engine over it on a disk that may fail, and a reader that looks after every round."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from reevd.bounds import Bounds, Pace
from reevd.clock import Clock
from reevd.engine import Engine
from reevd.model import Decision, DecisionKind
from reevd.reconciler import StoringError
from reevd.times import SECOND
from tests.faults.disk import Disk

ROUNDS = 400
SETTLE = 1_000_000_000
PATIENCE = 4  # rounds until a lasting fault is mended
ENDED = ("Completed", "Failed", "Stopped", "Timeout")


class WrongError(Exception):
    """reevd did what it must never do."""


class StillClock(Clock):
    """Goes on only when told. Files are stamped by the kernel, hence `stamp` is its clock.

    ahead: nanoseconds by which that is later, so that what was written counts as old
    """

    def __init__(self) -> None:
        self.base = self.ahead = 0
        self.at = 1_790_000_000 * SECOND

    def now(self) -> int:
        return self.at

    def stamp(self) -> int:
        return super().stamp() + self.ahead

    def step(self) -> int:
        return 0

    @staticmethod
    def boot() -> str:
        return "the only one"


class World:
    """restarts: how often the engine could not be opened. cuts: how often the power went. remade: databases anew"""

    def __init__(self, home: Path, disk: Disk, vfs: str) -> None:
        self.home, self.disk, self._vfs = home, disk, vfs
        self.sessions = home / "sessions"
        self.sessions.mkdir()
        self.database = str(home / "db")
        self.clock = StillClock()
        self.restarts = self.cuts = self.remade = 0
        self.acknowledged: set[tuple[str, str]] = set()
        self._engine: Engine | None = None
        self._reader: Reader | None = None
        self._patience = PATIENCE
        self._unsaid = 0

    # -- the engine ------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The engine; opened again, as systemd would, where it could not be opened."""
        for _ in range(ROUNDS):
            if self._engine is not None:
                return self._engine
            try:
                self._engine = self._open()
            except (apsw.Error, OSError):
                gc.collect()
                self.restarts += 1
                if self.disk.dead:
                    self._power()
                self._mend()
                self.clock.at += SECOND
        raise WrongError("the engine cannot be opened any more")

    def _open(self) -> Engine:
        engine = Engine(
            str(self.sessions),
            self.database,
            bounds=Bounds(settle_ns=SETTLE),
            pace=Pace(poll=100_000.0),
            clock=self.clock,
            vfs=self._vfs,
        )
        engine.books.inspect()
        engine.books._inspection._thread.join()  # so that the operations come in the same order each time
        engine.replaced = self._replaced
        return engine

    def _replaced(self) -> None:
        self.remade += 1
        self._close_reader()

    def close(self) -> None:
        """The engine's orderly end; where the power goes meanwhile, or the disk fails, it just ends."""
        engine, self._engine = self._engine, None
        self._close_reader()
        if engine is not None:
            try:
                engine.close()
            except (apsw.Error, OSError):
                gc.collect()
        if self.disk.dead:
            self._power()

    def _power(self) -> None:
        """The power is back, and with it what the disk kept."""
        self.cuts += 1
        if self._engine is not None or self._reader is not None:
            engine, self._engine = self._engine, None
            self._close_reader()
            try:
                if engine is not None:
                    engine.close()
            except (apsw.Error, OSError):
                pass
            del engine
            gc.collect()
        self.disk.restart()
        shared = Path(self.database + "-shm")
        shared.unlink(missing_ok=True)
        if self.disk.dice.random() < 0.3:
            shared.write_bytes(self.disk.dice.randbytes(32768))
        self.clock.at += SECOND

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # -- time ------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Goes on until nothing is left to do, whatever the disk does meanwhile."""
        wanted = self.engine.rescan()
        cuts = self.cuts
        for _ in range(ROUNDS):
            self._round()
            if cuts != self.cuts:
                cuts, wanted = self.cuts, self.engine.rescan()
            if self._at_rest(wanted):
                return
        raise WrongError(f"it does not come to rest: {self.engine.health()}")

    def _at_rest(self, wanted: int) -> bool:
        engine = self.engine
        if not (engine.ready and engine.idle and engine.scans >= wanted):
            return False
        health = engine.health()
        return not health.pending and not health.stale

    @contextmanager
    def later(self) -> Iterator[None]:
        """All files are as old as it takes to be believed at once: what has no fault in it need not be read twice."""
        self.clock.ahead = 2 * SETTLE
        try:
            yield
        finally:
            self.clock.ahead = 0

    def _round(self) -> None:
        engine, hits = self.engine, self.disk.hits
        try:
            pause = engine.step()
        except Exception as error:
            if not self.disk.dead:
                raise WrongError(f"the engine raised {type(error).__name__}: {error}") from error
            pause = 0.0
        if self.disk.dead:
            self._power()
            return
        self._look()
        if self.disk.failing and self.disk.hits > hits:
            # One failure may have struck the look at the database's health alone, which is no trouble yet.
            self._unsaid = 0 if engine.health().stale else self._unsaid + 1
            if self._unsaid > 1:
                raise WrongError(f"the disk fails and health does not say so: {engine.health()}")
            self._mend()
        self.clock.at += max(int(pause * SECOND), 1)

    def _mend(self) -> None:
        if self.disk.failing:
            self._patience -= 1
            if self._patience <= 0:
                self.disk.mend()
                self._patience = PATIENCE

    def _look(self) -> None:
        if self._reader is None and os.path.exists(self.database):
            self._reader = Reader(self.database)
        if self._reader is not None:
            self._reader.look()

    # -- what happens ----------------------------------------------------------------------------------------

    def restart(self) -> None:
        """An orderly stop and a start."""
        self.close()
        self.rest()

    def session(self, execution_id: str, content: object) -> None:
        """A session file, left by rename."""
        path = self.sessions / f"session_{execution_id}.json"
        hidden = path.with_suffix(".tmp")
        hidden.write_text(content if isinstance(content, str) else json.dumps(content))
        hidden.rename(path)

    def telemetry(self, execution_id: str, lines: list[dict[str, Any]]) -> None:
        """Appends lines to the telemetry."""
        with (self.sessions / f"enhanced_otel_{execution_id}.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def remove(self, execution_id: str) -> None:
        for path in self.sessions.glob(f"*_{execution_id}.json*"):
            path.unlink()

    def decide(self, execution_id: str, kind: DecisionKind) -> None:
        """Somebody decides, and tries until it is acknowledged."""
        for _ in range(ROUNDS):
            engine = self.engine
            made = Decision(
                execution_id, kind, 1_789_000_000 * SECOND, f"{kind} by a user", "001-sol-transfer", "local"
            )
            try:
                engine.decide(made)
            except (StoringError, apsw.Error):
                self._round()
            else:
                self.acknowledged.add((execution_id, kind))
                return
        raise WrongError(f"a decision is never taken: {self.engine.health()}")

    def lose_database(self, content: bytes | None = None) -> None:
        """Somebody removes the database, or overwrites it."""
        for ending in ("", "-wal", "-shm"):
            Path(self.database + ending).unlink(missing_ok=True)
            self.disk.forget(self.database + ending)
        if content is not None:
            Path(self.database).write_bytes(content)


class Reader:
    """A second connection. Nothing that it saw may vanish, or go back from an end, while power and file last."""

    def __init__(self, path: str) -> None:
        self._db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        self._db.set_busy_timeout(1000)
        self._seen: dict[str, str] = {}
        self._version = -1

    def close(self) -> None:
        self._db.close()

    def look(self) -> None:
        """Where something was committed since. Raises WrongError."""
        version = self._db.pragma("data_version")
        if version == self._version:
            return
        with self._db:
            if not self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchall():
                return
            rows = self._db.execute("SELECT execution_id, status, tool_calls FROM execution_states").fetchall()
            calls = dict(self._db.execute("SELECT execution_id, count(*) FROM tool_calls GROUP BY 1").fetchall())
        found = {str(row[0]): str(row[1]) for row in rows}
        for execution_id, status in self._seen.items():
            now = found.get(execution_id)
            if now is None:
                raise WrongError(f"{execution_id} vanished from the reader's sight")
            if status in ENDED and now not in ENDED:
                raise WrongError(f"{execution_id} went back from {status} to {now}")
        for execution_id, _, count in rows:
            if calls.get(execution_id, 0) != count:
                raise WrongError(f"{execution_id} has {count} tool calls and {calls.get(execution_id, 0)} rows of them")
        self._seen, self._version = found, version
