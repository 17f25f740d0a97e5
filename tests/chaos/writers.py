"""Writers as they are in the world: in place, in pieces, by rename, half, twice, and gone in the middle."""

from __future__ import annotations

import fcntl
import json
import os
import random
import struct
from pathlib import Path

from tests.chaos.oracle import Ending

F_OFD_SETLK = 37
WRITE_LOCK = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


class Run:
    """One execution's writer. Each call of `step` does one small, possibly unfinished, thing to its files.

    Some are of the older form, and some write a stub over their own result, as another run of the same id would.
    """

    def __init__(self, folder: Path, execution_id: str, dice: random.Random) -> None:
        self.folder, self.id, self.dice = folder, execution_id, dice
        self.session = folder / f"session_{execution_id}.json"
        self.older = dice.random() < 0.2
        self.telemetry = folder / f"{'' if self.older else 'enhanced_'}otel_{execution_id}.jsonl"
        self.written: set[Ending] = set()
        self.pieces: list[bytes] = []
        self._number = 0
        self._lock: int | None = None

    def step(self) -> None:
        if self.pieces:
            with self.session.open("ab") as file:
                file.write(self.pieces.pop(0))
            return
        actions = [self._append] * 5 + [self._half_line, self._result, self._result, self._delete, self._garble]
        actions += [self._truncate, self._hold_lock, self._forget_telemetry]
        actions += [self._stub] * (1 if self.written else 3)
        self.dice.choice(actions)()

    def finish(self) -> None:
        """Leaves nothing half-written of a document that was begun."""
        while self.pieces:
            self.step()
        self.let_go()

    def let_go(self) -> None:
        """Closes the lock's descriptor, as the end of the process would."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _document(self, final: dict[str, object] | None) -> bytes:
        self._number += 1
        return json.dumps(
            {
                "session_id": self.id,
                "benchmark_id": f"case-{self.dice.randrange(3)}",
                "agent_type": f"agent-{self._number}",
                "start_time": 1_760_000_000,
                "end_time": 1_760_000_005 if final else None,
                "final_result": final,
                "metadata": {"liveness": "ofd-lock"} if self._lock is not None else {},
                "padding": "x" * self.dice.randrange(3_000),
            }
        ).encode()

    def _write(self, data: bytes) -> None:
        match self.dice.randrange(3):
            case 0:
                hidden = self.folder / f".{self.session.name}.tmp"
                hidden.write_bytes(data)
                hidden.rename(self.session)
            case 1:
                self.session.write_bytes(data)
            case _:
                cuts = sorted(self.dice.randrange(len(data)) for _ in range(self.dice.randrange(1, 4)))
                self.pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
                self.session.write_bytes(self.pieces.pop(0))

    def _stub(self) -> None:
        self._write(self._document(None))

    def _result(self) -> None:
        success, score = self.dice.random() < 0.6, self.dice.randrange(101) / 100
        self.written.add(("Completed" if success else "Failed", score))
        final = {"success": success, "score": score, "data": {"n": self._number}, "tools": self._tools()}
        self._write(self._document(final))

    def _tools(self) -> list[dict[str, str]]:
        """What shows where there is no telemetry."""
        return [
            {"tool_name": f"told-{n}", "status": self.dice.choice(("success", "error"))}
            for n in range(self.dice.randrange(3))
        ]

    def _delete(self) -> None:
        self.session.unlink(missing_ok=True)

    def _garble(self) -> None:
        if self.written:
            self.session.write_bytes(self.dice.choice((b"", b"{", b"\0" * 100, b'{"final_result": {"succ')))

    def _line(self) -> bytes:
        self._number += 1
        event: dict[str, object]
        if self.older:
            event = {"tool_name": f"tool-{self.dice.randrange(3)}"}
            if self.dice.random() < 0.5:
                event |= {"execution_time_ms": 5, "status": self.dice.choice(("success", "error"))}
        elif self.dice.random() < 0.5:
            event = {"event_type": "ToolInput", "tool_input": {"tool_name": f"tool-{self._number}", "tool_args": {}}}
        else:
            event = {"event_type": "ToolOutput", "tool_output": {"success": self.dice.random() < 0.7, "results": None}}
        if self.dice.random() < 0.1:
            return self.dice.choice((b"# a comment\n", b"\n", b"not json\n", b"\xff\xfe\n", b"{}{}\n"))
        return json.dumps({**event, "padding": "y" * self.dice.randrange(200)}).encode() + b"\n"

    def _append(self) -> None:
        with self.telemetry.open("ab", buffering=0) as file:
            for _ in range(self.dice.randrange(1, 5)):
                file.write(self._line())

    def _half_line(self) -> None:
        line = self._line()
        with self.telemetry.open("ab", buffering=0) as file:
            file.write(line[: self.dice.randrange(len(line))])

    def _truncate(self) -> None:
        """Cut and grown again, sometimes past where a reader stood."""
        if self.telemetry.exists():
            os.truncate(self.telemetry, self.dice.choice((0, self.telemetry.stat().st_size // 2)))
            for _ in range(self.dice.randrange(3)):
                self._append()

    def _forget_telemetry(self) -> None:
        if self.dice.random() < 0.3:
            self.telemetry.unlink(missing_ok=True)

    def _hold_lock(self) -> None:
        """A runner that holds its lock, or one that dies."""
        if self._lock is not None:
            self.let_go()
        elif self.dice.random() < 0.3:
            self._lock = os.open(self.telemetry, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.fcntl(self._lock, F_OFD_SETLK, WRITE_LOCK)
            except BlockingIOError:  # an engine forked a moment ago has not let go of the last one yet
                self.let_go()
                return
            if not self.written:
                self._stub()
