"""`reevctl watch`: the executions as they go, a table on a terminal, a line a change elsewhere."""

from __future__ import annotations

import json
import queue
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from reevd.ctl import render
from reevd.ctl.shell import DONE, Shell, query_text
from reevd.ctl.stream import Event, Stream
from reevd.ctl.usage import Command, whose

UNDER_WAY = ("Queued", "Running")
REDRAW_SECONDS = 0.5
BAR = 10
ENDED = 10

Executions = dict[str, Mapping[str, Any]]


def watch(shell: Shell) -> int:
    """Executions as they go, until Ctrl-C; a line a change where the output is no terminal."""
    asked = shell.asked
    wanted = {"agent": asked.agent, "benchmark_id": asked.benchmark}
    stream = Stream(shell.client.path, query_text(wanted))
    try:
        if asked.json or not shell.tty:
            _lines(stream, as_json=asked.json)
        else:
            _table(shell, stream, wanted)
    except KeyboardInterrupt:
        print()
    return DONE


def _lines(stream: Stream, *, as_json: bool) -> None:
    said: dict[str, str] = {}
    for name, content in stream:
        if as_json:
            print(json.dumps({"event": name, **content}, ensure_ascii=False), flush=True)
        elif name == "execution":
            line, execution_id = render.line(content), content["execution_id"]
            if said.get(execution_id) != line:
                print(f"{content['updated_at']}  {line}", flush=True)
            said[execution_id] = line
            if content["status"] not in UNDER_WAY:
                del said[execution_id]
        elif name == "problem":
            word = "solved" if content["solved"] else "problem"
            print(render.safe(f"{content['since']}  {word}  {content['path']}: {content['message']}"), flush=True)


def _table(shell: Shell, stream: Stream, wanted: Mapping[str, object]) -> None:
    """Events come through a thread, so that times on the screen go on while none come."""
    arrived: queue.SimpleQueue[Event | Exception] = queue.SimpleQueue()
    threading.Thread(target=_follow, args=(stream, arrived), daemon=True).start()
    executions: Executions = {}
    troubled: set[str] = set()
    drawn = 0
    while True:
        try:
            item = arrived.get(timeout=REDRAW_SECONDS)
        except queue.Empty:
            item = None
        while item is not None:
            if isinstance(item, Exception):
                raise item
            if item.name == "heartbeat" and not executions:  # listening by now: nothing can be missed from here on
                executions = _list(shell, wanted)
            elif item.name == "execution":
                executions[item.content["execution_id"]] = item.content
            elif item.name == "problem":
                (troubled.discard if item.content["solved"] else troubled.add)(item.content["path"])
            item = None if arrived.empty() else arrived.get()
        size = shutil.get_terminal_size()
        head, *rest = screen(executions, time.time(), size.lines - 2)
        if troubled:
            head += f"; {render.counted(len(troubled), 'file')} came into trouble: see `reevctl problems`"
        lines = [line[: size.columns - 1] for line in (head, *rest)]
        text = render.colour("\n".join(lines), wanted=True)
        sys.stdout.write((f"\033[{drawn}F" if drawn else "") + "\033[J" + text + "\n")
        sys.stdout.flush()
        drawn = len(lines)


def _follow(stream: Stream, arrived: queue.SimpleQueue[Event | Exception]) -> None:
    try:
        for event in stream:
            arrived.put(event)
    except Exception as error:  # noqa: BLE001 - it is raised again where the screen is drawn
        arrived.put(error)


def _list(shell: Shell, wanted: Mapping[str, object]) -> Executions:
    found = shell.get("/executions", limit=1000, status=list(UNDER_WAY), **wanted)["items"]
    newest = shell.get("/executions", limit=ENDED, **wanted)["items"]
    return {item["execution_id"]: item for item in (*found, *newest)}


def screen(executions: Executions, now: float, height: int) -> list[str]:
    """What is under way with a bar each, then what ended last. Forgets the executions that do not show."""
    going = sorted((e for e in executions.values() if e["status"] in UNDER_WAY), key=lambda e: e["created_at"])
    ended = sorted((e for e in executions.values() if e["status"] not in UNDER_WAY), key=_ended, reverse=True)
    for gone in ended[ENDED:]:
        del executions[gone["execution_id"]]
    running = sum(e["status"] == "Running" for e in going)
    head = f"{running} Running, {len(going) - running} Queued"
    room = max(3, height - 3 - min(len(ended), ENDED))
    shown = [*going[:room], *ended[:ENDED]]
    if not shown:
        return [head]
    rows = [
        (render.status(e["status"]), _far(e), e["execution_id"], e["benchmark_id"],
         e["agent"], _took(e, now))
        for e in shown
    ]  # fmt: skip
    lines = render.table(rows, ("status", "score", "execution", "benchmark", "agent", "for")).splitlines()
    return [head, "", *lines, *([f"and {len(going) - room} more"] if len(going) > room else [])]


def _ended(execution: Mapping[str, Any]) -> str:
    found: str = execution["ended_at"] or execution["updated_at"]
    return found


def _took(execution: Mapping[str, Any], now: float) -> str:
    began = render.seconds(execution["started_at"] or execution["created_at"])
    return render.span((render.seconds(execution["ended_at"]) if execution["ended_at"] else now) - began)


def _far(execution: Mapping[str, Any]) -> str:
    """The score once there is one; before, `████░░░░░░  40%`. Empty where a run does not say how far it is."""
    if execution["status"] != "Running" or not execution["progress"]:
        return render.score(execution["score"])
    done = int(execution["progress"] * BAR)
    return f"{'█' * done}{'░' * (BAR - done)} {execution['progress']:4.0%}"


COMMANDS = {
    "watch": Command(
        watch,
        whose,
        (
            "reevctl watch --agent glm-4.6",
            "reevctl watch --json | jq .status",
        ),
    )
}
