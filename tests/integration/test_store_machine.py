"""The whole engine on a real folder and database, under any order of what may happen: hypothesis and an oracle."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from reevd.bounds import Bounds, Pace
from reevd.engine import Engine
from tests.chaos import oracle
from tests.chaos.schedule import SCRATCH, LaterClock
from tests.harness import leave, session

IDS = [f"run-{number}" for number in range(4)]
SETTLE_SECONDS = 0.05
ids = st.sampled_from(IDS)
garbage = st.sampled_from([b"", b"{", b"\0" * 50, b"[]", b'{"final_result": {"succ', b"\xff\xfe"])


class Machine(RuleBasedStateMachine):
    """After every step the engine comes to rest, on a clock that skips what it would sleep."""

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="machine-", dir=SCRATCH))
        self.folder, self.database = self.home / "sessions", self.home / "db"
        self.written: dict[str, set[oracle.Ending]] = {name: set() for name in IDS}
        self.settled: set[str] = set()
        self.number = 0
        self.clock = LaterClock(0)
        self.engine = self._open()
        self._rest()

    def _open(self) -> Engine:
        bounds = Bounds(settle_ns=int(SETTLE_SECONDS * 1e9))
        return Engine(str(self.folder), str(self.database), bounds=bounds, pace=Pace(rescan=3_600), clock=self.clock)

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.engine.close()
            shutil.rmtree(self.home)

    def _rest(self) -> None:
        deadline = time.monotonic() + 10
        self.engine.rescan()
        while (pause := self.engine.step()) == 0 or self.engine.health().pending or not self.engine.idle:
            assert time.monotonic() < deadline, self.engine.health()
            self.clock.skip(pause)
        self.rows = self._rows()
        self.settled |= {name for name, row in self.rows.items() if row.status not in ("Queued", "Running")}

    def _rows(self) -> dict[str, oracle.Row]:
        calls: dict[str, list[tuple[str, str]]] = {}
        query = "SELECT execution_id, tool_name, status FROM tool_calls ORDER BY execution_id, seq"
        for name, tool, status in self.engine.store.rows(query):
            calls.setdefault(name, []).append((tool, status))
        query = "SELECT execution_id, status, score, benchmark_id, agent FROM execution_states"
        return {row[0]: oracle.Row(*row[1:], calls.get(row[0], [])) for row in self.engine.store.rows(query)}

    def _session(self, name: str) -> Path:
        return self.folder / f"session_{name}.json"

    def _telemetry(self, name: str) -> Path:
        return self.folder / f"enhanced_otel_{name}.jsonl"

    # -- what may happen -------------------------------------------------------------------------------------

    @rule(name=ids)
    def a_stub(self, name: str) -> None:
        if not self.written[name]:  # after a result it would be another run of the same id
            leave(self.folder, name, session(name, end_time=None, final_result=None))
            self._rest()

    @rule(name=ids, success=st.booleans(), score=st.sampled_from([0.0, 0.25, 1.0]), in_place=st.booleans())
    def a_result(self, name: str, *, success: bool, score: float, in_place: bool) -> None:
        self.number += 1
        document = session(name, agent_type=f"agent-{self.number}", final_result={"success": success, "score": score})
        self.written[name].add(("Completed" if success else "Failed", score))
        if in_place:
            self._session(name).write_text(json.dumps(document))
        else:
            leave(self.folder, name, document)
        self._rest()

    @rule(name=ids, content=garbage)
    def a_garbled_session(self, name: str, content: bytes) -> None:
        self._session(name).write_bytes(content)
        self._rest()

    @rule(name=ids, answered=st.booleans(), ended=st.booleans())
    def telemetry(self, name: str, *, answered: bool, ended: bool) -> None:
        self.number += 1
        asked = {"event_type": "ToolInput", "tool_input": {"tool_name": f"tool-{self.number}", "tool_args": {}}}
        told: dict[str, Any] = {"event_type": "ToolOutput", "tool_output": {"success": True, "results": None}}
        lines = [json.dumps(event) for event in ((asked, told) if answered else (asked,))]
        with self._telemetry(name).open("a") as file:
            file.write("\n".join(lines) + ("\n" if ended else ""))
        self._rest()

    @rule(name=ids)
    def telemetry_is_cut(self, name: str) -> None:
        path = self._telemetry(name)
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)
            self._rest()

    @rule(name=ids)
    def files_are_deleted(self, name: str) -> None:
        self._session(name).unlink(missing_ok=True)
        self._rest()

    @rule(seconds=st.sampled_from([200, 400]))
    def time_goes_on(self, seconds: int) -> None:
        self.clock.skip(seconds)
        self._rest()

    @rule()
    def it_is_started_anew(self) -> None:
        self.engine.close()
        self.engine = self._open()
        self._rest()

    @rule(content=st.sampled_from([None, b"garbage, and no database at all" * 300]))
    def the_database_is_lost(self, content: bytes | None) -> None:
        self.engine.close()
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.database}{ending}").unlink(missing_ok=True)
        if content is not None:
            self.database.write_bytes(content)
        self.engine = self._open()
        self._rest()

    # -- what must be true -----------------------------------------------------------------------------------

    @invariant()
    def the_rows_say_what_the_files_say(self) -> None:
        there = {
            name for name in IDS if self._telemetry(name).exists() or (self.folder / f"session_{name}.json").exists()
        }
        assert oracle.violations(self.folder, self.rows, there, self.written, self.settled) == []

    @invariant()
    def the_database_is_sound(self) -> None:
        store = self.engine.store
        assert store.rows("PRAGMA integrity_check") == [("ok",)]
        live = "status IN ('Queued', 'Running')"
        assert store.rows(f"SELECT count(*) FROM execution_states WHERE {live} AND deadline_at IS NULL") == [(0,)]
        assert store.due("2000-01-01T00:00:00.000000Z") == []
        counted = "SELECT execution_id, tool_calls FROM execution_states WHERE tool_calls != (SELECT count(*)"
        assert store.rows(f"{counted} FROM tool_calls c WHERE c.execution_id = execution_states.execution_id)") == []


Machine.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestMachine = Machine.TestCase
