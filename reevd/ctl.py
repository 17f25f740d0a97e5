"""The command `reevctl`: asks the daemon and prints what it says, for people or with --json for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from reevd import render
from reevd.client import Client, UnreachableError, find_socket, part
from reevd.errors import ConfigError, ReevdError
from reevd.usage import parser

if TYPE_CHECKING:
    from argparse import Namespace

DONE, UNSUCCESSFUL, USAGE, NO_DAEMON, NOT_FOUND, TIMED_OUT = 0, 1, 2, 3, 4, 124
API = "/api/v1"
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5


class RefusedError(Exception):
    """The daemon answered with an error."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(body.get("message") or body.get("error") or f"HTTP {status}")
        self.status = status


class Shell:
    """One invocation: what was asked, of whom, and how to print it."""

    def __init__(self, asked: Namespace) -> None:
        self.asked = asked
        self.client = Client(find_socket(asked.socket))
        self._tty = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def get(self, path: str, **query: object) -> Any:
        """The JSON of an answer. Raises RefusedError for all but 200."""
        pairs = [(k, v) for k, values in query.items() for v in (values if isinstance(values, list) else [values])]
        text = "&".join(f"{k}={part(str(v))}" for k, v in pairs if v is not None)
        answer = self.client.get(f"{API}{path}{'?' if text else ''}{text}")
        if answer.status != 200:
            raise RefusedError(answer.status, answer.json())
        return answer.json()

    def say(self, answer: Any, text: str) -> None:
        """Prints `answer` as it came with --json, else `text`."""
        print(json.dumps(answer, ensure_ascii=False) if self.asked.json else render.colour(text, wanted=self._tty))


def status(shell: Shell) -> int:
    """One execution, or how all of them stand."""
    if shell.asked.id:
        return show(shell)
    health, newest = shell.get("/health"), shell.get("/executions", limit=10)
    counts = "  ".join(f"{count} {name}" for name, count in health["executions"].items() if count)
    lines = [f"{health['status']}: {counts or 'no executions yet'}", *(f"  {reason}" for reason in health["reasons"])]
    if health["problems"]:
        lines.append(f"{health['problems']} files in trouble: see `reevctl problems`")
    if newest["items"]:
        lines += ["", render.executions(newest["items"], time.time())]
    shell.say({"health": health, "newest": newest["items"]}, "\n".join(lines))
    return DONE


def show(shell: Shell) -> int:
    """Everything about one execution."""
    found = shell.get(f"/executions/{part(shell.asked.id)}")
    shell.say(found, render.execution(found, time.time()))
    return DONE


def list_(shell: Shell) -> int:
    """Executions, newest first, as filtered."""
    asked = shell.asked
    names = ("status", "agent", "since", "until", "min_score", "max_score", "text", "limit", "cursor")
    page = shell.get("/executions", benchmark_id=asked.benchmark, **{name: getattr(asked, name) for name in names})
    text = render.executions(page["items"], time.time())
    if page["next_cursor"]:
        text += f"\n\nmore: --cursor {page['next_cursor']}"
    shell.say(page, text)
    return DONE


def wait(shell: Shell) -> int:
    """Until every execution has ended: 0 where all are Completed. An id that is not known yet is waited for."""
    asked = shell.asked
    ends = None if asked.timeout is None else time.monotonic() + asked.timeout
    waiting, worst, pause = dict.fromkeys(asked.id), DONE, FIRST_PAUSE
    while waiting:
        for execution_id in list(waiting):
            try:
                found = shell.get(f"/executions/{part(execution_id)}")
            except RefusedError as error:
                if error.status != 404 or ends is None:
                    raise
                continue
            if found["status"] not in ("Queued", "Running"):
                del waiting[execution_id]
                shell.say(found, f"{render.executions([found], time.time()).splitlines()[-1]}")
                worst = max(worst, DONE if found["status"] == "Completed" else UNSUCCESSFUL)
        if waiting:
            if ends is not None and time.monotonic() >= ends:
                print(f"Error: still waiting for {render.safe(', '.join(waiting))}", file=sys.stderr)
                return TIMED_OUT
            time.sleep(pause if ends is None else max(0.0, min(pause, ends - time.monotonic())))
            pause = min(pause * 1.5, LONGEST_PAUSE)
    return worst


def history(shell: Shell) -> int:
    """The states that an execution went through, and why."""
    steps = shell.get(f"/executions/{part(shell.asked.id)}/history")
    rows = [(step["at"], f"{render.MARKS.get(step['status'], '?')} {step['status']}", step["reason"]) for step in steps]
    shell.say(steps, render.table(rows, ("at", "status", "why")))
    return DONE


def tools(shell: Shell) -> int:
    """The tool calls of an execution."""
    calls = shell.get(f"/executions/{part(shell.asked.id)}/tool-calls", limit=1000)
    rows = [
        (
            n,
            c["tool_name"],
            c["status"],
            "" if c["duration_ms"] is None else f"{c['duration_ms']:.1f}",
            render.params(c["params"]),
        )
        for n, c in enumerate(calls, 1)
    ]
    shell.say(calls, render.table(rows, ("#", "tool", "status", "ms", "parameters")) if rows else "none")
    return DONE


def agents(shell: Shell) -> int:
    """The agents that have run."""
    found = shell.get("/agents")
    shell.say(found, "\n".join(map(render.safe, found)) or "none")
    return DONE


def problems(shell: Shell) -> int:
    """Files that cannot be read or are odd."""
    page = shell.get("/problems", limit=1000)
    now = time.time()
    rows = [(p["path"], p["kind"], render.age(p["since"], now), p["attempts"], p["message"]) for p in page["items"]]
    shell.say(page, render.table(rows, ("file", "kind", "since", "tries", "what is wrong")) if rows else "none")
    return DONE


def health(shell: Shell) -> int:
    """How the daemon is."""
    found = shell.get("/health")
    watch, database = found["watch"], found["database"]
    lines = [
        f"{found['status']}: reevd {found['version']}, up {render.span(found['uptime_seconds'])}",
        *(f"  {reason}" for reason in found["reasons"]),
        f"  watching by {watch['mode']}, {watch['pending']} to look at; last full scan: {watch['last_rescan_at']}",
        f"  {database['path']}: {database['size_bytes']:,} bytes, log {database['wal_bytes']:,} bytes",
        "  " + ", ".join(f"{count} {name}" for name, count in found["executions"].items()),
    ]
    shell.say(found, "\n".join(lines))
    return DONE


def sync(shell: Shell) -> int:
    """Reads the benchmarks and scans the sessions folder now."""
    answer = shell.client.post(f"{API}/sync")
    if answer.status != 200:
        raise RefusedError(answer.status, answer.json())
    found = answer.json()
    benchmarks, sessions = found["benchmarks"], found["sessions"]
    lines = [
        f"benchmarks: {', '.join(f'{benchmarks[name]} {name}' for name in ('inserted', 'updated', 'unchanged'))}",
        *(f"  {failure['path']}: {failure['error']}" for failure in benchmarks["failed"]),
        f"sessions: {sessions['scanned']} files, {sessions['changed']} changed, {sessions['problems']} in trouble",
        f"{found['duration_ms']:.0f} ms",
    ]
    shell.say(found, "\n".join(map(render.safe, lines)))
    return DONE


def verify(shell: Shell) -> int:
    """Computes every execution anew from its files, and prints what the database has otherwise: then 1."""
    from reevd import config, log  # it reads the files and the database itself, as no other command does
    from reevd import verify as proof

    log.silence()
    asked = shell.asked
    flags = [
        flag for name in ("config", "sessions_dir", "database") if (value := getattr(asked, name))
        for flag in (f"--{name.replace('_', '-')}", value)
    ]  # fmt: skip
    settings = config.load(flags, os.environ)
    found = proof.verify(settings.sessions_dir, settings.database)
    rows = [(d.execution_id, d.field, render.short(d.stored), render.short(d.computed)) for d in found.differences]
    text = f"{found.executions:,} executions: the database says of all of them what their files say"
    if rows:
        text = render.table(rows, ("execution", "what", "database", "files"))
    shell.say({"executions": found.executions, "differences": [d._asdict() for d in found.differences]}, text)
    return UNSUCCESSFUL if rows else DONE


COMMANDS: dict[str, Callable[[Shell], int]] = {
    "status": status, "list": list_, "show": show, "wait": wait, "history": history, "tools": tools,
    "agents": agents, "problems": problems, "health": health, "sync": sync, "verify": verify,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 done; 1 Failed, Stopped or Timeout; 2 usage; 3 no daemon; 4 not found; 124 timed out."""
    lines = {name: (command.__doc__ or "").splitlines()[0] for name, command in COMMANDS.items()}
    asked = parser(lines).parse_args(arguments)
    shell = Shell(asked)
    try:
        ended = COMMANDS[asked.command](shell)
        sys.stdout.flush()  # here, where a closed pipe is expected
    except UnreachableError as error:
        _complain(f"asking reevd on {shell.client.path}: {error}", "start `reevd`, or name its socket with --socket")
        return NO_DAEMON
    except RefusedError as error:
        _complain(str(error), "")
        return {400: USAGE, 404: NOT_FOUND}.get(error.status, UNSUCCESSFUL)
    except ReevdError as error:
        _complain(str(error), error.hint)
        return USAGE if isinstance(error, ConfigError) else UNSUCCESSFUL
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return 130
    else:
        return ended
    finally:
        shell.client.close()


def _complain(error: str, hint: str) -> None:
    print(f"Error: {render.safe(error)}", file=sys.stderr)
    if hint:
        print(f"Try: {hint}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
