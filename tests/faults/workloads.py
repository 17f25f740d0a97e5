"""What the engine does while the disk fails: each workload a list of steps, after each of which it comes to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

from reevd import books, patrol, schema
from reevd.checkpoint import Checkpoint
from reevd.times import SECOND
from tests.faults.world import World
from tests.harness import session

Step = Callable[[World], None]
RUNNING: dict[str, object] = {"end_time": None, "final_result": None}


class Workload(NamedTuple):
    """prepare: before any fault. steps: under it. beside: the log is moved while the engine works, in any order."""

    prepare: Step
    steps: tuple[Step, ...]
    beside: bool = False


def _failed(execution_id: str) -> dict[str, Any]:
    return session(execution_id, final_result={"success": False, "score": 0.75, "status": "Failed", "data": {}})


def _call(number: int) -> list[dict[str, Any]]:
    at = f"2026-01-01T00:00:{number:02d}.000000Z"
    return [
        {"timestamp": at, "event_type": "ToolInput", "tool_input": {"tool_name": f"tool-{number}", "tool_args": {}}},
        {"timestamp": at, "event_type": "ToolOutput", "tool_output": {"success": True, "results": number}},
    ]


def _nothing(_: World) -> None:
    pass


def _some(world: World) -> None:
    """Runs of every kind, none of them at rest yet."""
    for number in range(2):
        world.session(f"done-{number}", session(f"done-{number}"))
        world.telemetry(f"done-{number}", [*_call(1), *_call(2)])
    world.session("failed", _failed("failed"))
    world.session("running", session("running", **RUNNING))
    world.telemetry("running", _call(1))
    world.session("silent", session("silent", **RUNNING))
    world.session("garbled", '{"session_id": "garb')
    world.session("odd name!", "{}")


def _populated(world: World) -> None:
    _some(world)
    world.rest()


def _change(world: World) -> None:
    world.session("running", session("running"))
    world.telemetry("running", [*_call(2), *_call(3)])
    world.session("garbled", session("garbled"))
    world.session("late", session("late", **RUNNING))


def _queue(world: World) -> None:
    world.decide("queued", "queued")
    world.decide("late", "stopped")


def _delete(world: World) -> None:
    world.remove("done-0")
    world.remove("failed")
    world.session("done-1", '{"torn')


def _give_up(world: World) -> None:
    """Twice in a row: whose row a power cut took is new again, since its file is young on the kernel's clock."""
    world.clock.at += 400 * SECOND


def _delete_given_up(world: World) -> None:
    world.remove("silent")


def _late_result(world: World) -> None:
    world.session("late", session("late"))
    world.session("queued", session("queued"))


def _many(world: World) -> None:
    for number in range(10):
        final = {"success": True, "score": 1.0, "data": {"text": "x" * 3000}}
        world.session(f"large-{number}", session(f"large-{number}", final_result=final))


def _many_again(world: World) -> None:
    for number in range(10):
        final = {"success": number % 2 == 0, "score": 0.5, "data": {"text": "y" * 2000}}
        world.session(f"large-{number}", session(f"large-{number}", final_result=final))


def _stop(world: World) -> None:
    world.close()


def _lose(world: World) -> None:
    world.lose_database()


def _garble(world: World) -> None:
    world.close()
    world.lose_database(b"no database at all " * 1000)


def _left_without_database(world: World) -> None:
    """Results without files, decisions, and a journal that alone knows of them."""
    _populated(world)
    for step in (_change, _queue, _give_up, _give_up, _delete):
        step(world)
        world.rest()
    world.close()
    world.lose_database()


def _next_version(db: apsw.Connection) -> None:
    """A migration that may come: a table made of another, an index, every row of a table written anew."""
    db.execute("CREATE TABLE endings (execution_id TEXT PRIMARY KEY, status TEXT NOT NULL, history TEXT NOT NULL)")
    db.execute("INSERT INTO endings SELECT execution_id, status, history FROM execution_states")
    db.execute("CREATE INDEX endings_status ON endings (status)")
    db.execute("UPDATE tool_calls SET tool_name = 'renamed ' || tool_name")
    db.execute("UPDATE files SET mark = NULL")


def _migrate(world: World) -> None:
    world.close()
    schema.MIGRATIONS = (*_MIGRATIONS, _next_version)
    schema.VERSION = len(schema.MIGRATIONS)


def _large_and_populated(world: World) -> None:
    _some(world)
    _many(world)
    world.rest()


_MIGRATIONS = schema.MIGRATIONS

WORKLOADS: dict[str, Workload] = {
    "start": Workload(_nothing, (_nothing, _some, World.restart)),
    "reconcile": Workload(
        _nothing, (_some, _change, _queue, _delete, _give_up, _give_up, _delete_given_up, _late_result, World.restart)
    ),
    "checkpoint": Workload(_nothing, (_many, _many_again, _some, World.restart)),
    "beside": Workload(_nothing, (_many, _many_again, _some, _many, World.restart), beside=True),
    "migration": Workload(_large_and_populated, (_migrate, _change)),
    "replay": Workload(_left_without_database, (_nothing, _late_result)),
    "restart": Workload(_populated, (World.restart, _change, World.restart, _delete, World.restart)),
    "rebuild": Workload(_populated, (_change, _queue, _delete, _lose, _garble)),
}


@contextmanager
def small_steps(*, beside: bool) -> Iterator[None]:
    """Batches, and the log before it is moved into the database, so small that there are many of each.

    Not `beside`, all operations come in the same order each time.
    """
    kept = patrol.BATCH, books.BUSY_WAL_BYTES, books.BESIDE_WAL_BYTES, Checkpoint.begin
    patrol.BATCH, books.BUSY_WAL_BYTES, books.BESIDE_WAL_BYTES = 6, 64 << 10, 64 << 10
    if not beside:
        Checkpoint.begin = _at_once  # type: ignore[method-assign]
    try:
        yield
    finally:
        patrol.BATCH, books.BUSY_WAL_BYTES, books.BESIDE_WAL_BYTES, Checkpoint.begin = kept  # type: ignore[method-assign]


def _at_once(checkpoint: Checkpoint) -> None:
    """So that the operations come in the same order each time."""
    _BEGIN(checkpoint)
    assert checkpoint._thread is not None
    checkpoint._thread.join()


_BEGIN = Checkpoint.begin


def migrate_no_further() -> None:
    """As it was before a workload knew the next version."""
    schema.MIGRATIONS, schema.VERSION = _MIGRATIONS, len(_MIGRATIONS)
