"""An engine in this process, stepped until a condition holds; closed however the test goes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reevd.bounds import Bounds, Pace
from reevd.derive import Limits
from reevd.engine import Engine
from reevd.model import Execution


class Bench:
    """A sessions folder and the engine over it. Settings are short, so that tests need not wait long."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sessions = home / "sessions"
        self.database = home / "state.sqlite3"
        self.limits, self.bounds, self.pace = Limits(), Bounds(settle_ns=50_000_000), Pace(rescan=3600, poll=0.1)
        self.vfs: str | None = None
        self.engine: Engine | None = None

    def start(self, *, seconds: float = 10.0) -> Engine:
        self.engine = Engine(
            str(self.sessions),
            str(self.database),
            limits=self.limits,
            bounds=self.bounds,
            pace=self.pace,
            vfs=self.vfs,
        )
        self.until(lambda: self.engine is not None and self.engine.ready, "ready", seconds=seconds)
        return self.engine

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close()
            self.engine = None

    def until(self, condition: Callable[[], object], what: str, *, seconds: float = 10.0) -> None:
        """Steps as the daemon does, sleeping on its epoll, until the condition holds."""
        assert self.engine is not None
        deadline = time.monotonic() + seconds
        pause = self.engine.step()
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}; {self.engine.health()}"
            self.engine.poll.poll(min(pause, 0.1))
            pause = self.engine.step()

    def row(self, execution_id: str) -> Execution | None:
        assert self.engine is not None
        return self.engine.store.known([execution_id]).executions.get(execution_id)

    def status(self, execution_id: str) -> str | None:
        row = self.row(execution_id)
        return row.status if row else None

    def problems(self) -> dict[str, str]:
        """Path to kind."""
        assert self.engine is not None
        return dict(self.engine.store.rows("SELECT path, kind FROM problems"))


@contextmanager
def no_threads() -> Iterator[None]:
    """In this process, no thread can be started meanwhile, as where a host gives no more."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        yield


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.sessions.mkdir()
    yield made
    made.close()
