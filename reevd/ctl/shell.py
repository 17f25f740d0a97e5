"""One invocation of `reevctl`: what was asked, of whom, and how its answer is printed."""

from __future__ import annotations

import json
import os
import re
import sys

from reevd.ctl import render
from reevd.ctl.client import SYNC_SECONDS, Answer, Client, UnreachableError, find_socket, part, places

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, BinaryIO

DONE, UNSUCCESSFUL, USAGE, NO_DAEMON, NOT_FOUND, TIMED_OUT = 0, 1, 2, 3, 4, 124
API = "/api/v1"
SAME = ("benchmarks", "agents", "compare", "flaky", "problems", "health", "sync", "prune", "backup")
INSTEAD = {"executions": "list", **{name: name for name in SAME}}


class RefusedError(Exception):
    """The daemon answered with an error. `again`: to a question whose first answer was lost."""

    def __init__(self, status: int, body: dict[str, Any], *, again: bool = False) -> None:
        super().__init__(_reworded(body.get("message") or body.get("error") or f"HTTP {status}"))
        self.status, self.again, self.hint = status, again, ""


def _reworded(message: str) -> str:
    """With commands of this program where the daemon names paths of its API."""

    def commands(found: re.Match[str]) -> str:
        names = [INSTEAD.get(name, "") for name in re.split(r"\W*\bor\b\W*", found[1])]
        return " or ".join(f"`reevctl {name}`" for name in names) if all(names) else found[0]

    return re.sub(r"\b(?:GET|POST) /api/v1/([a-z]+(?: or /[a-z]+)*)(?![\w/])", commands, message)


def query_text(query: Mapping[str, object]) -> str:
    """`?a=1&b=2`, without what is None; a list stands for several."""
    pairs = [(k, v) for k, values in query.items() for v in (values if isinstance(values, list) else [values])]
    text = "&".join(f"{k}={part(str(v))}" for k, v in pairs if v is not None)
    return f"?{text}" if text else ""


class Shell:
    """One invocation: what was asked, of whom, and how to print it."""

    def __init__(self, asked: Namespace) -> None:
        self.asked = asked
        self.client = Client(find_socket(asked.socket))
        self.tty = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def asked_on(self) -> str:
        """The whole path of the socket; where none is there, of all that were looked for."""
        path = self.client.path
        tried = (path,) if os.path.exists(path) else places(self.asked.socket)
        return " and ".join(map(os.path.abspath, tried))

    def get(self, path: str, **query: object) -> Any:
        """The JSON of an answer. Raises RefusedError for all but 200."""
        return self._answer(f"{API}{path}{query_text(query)}").json()

    def text(self, path: str, **query: object) -> str:
        """An answer that is no JSON. Raises RefusedError for all but 200."""
        return self._answer(f"{API}{path}{query_text(query)}").text.decode()

    def array(self, path: str, **query: object) -> list[Any]:
        """All of a bare array, whose pages follow one another by their Link headers. Raises RefusedError."""
        answer = self._answer(f"{API}{path}{query_text(query)}")
        found: list[Any] = answer.json()
        while answer.next:
            answer = self._answer(answer.next)
            found += answer.json()
        return found

    def items(self, path: str, **query: object) -> Iterator[Any]:
        """All items, a page after the other. Raises RefusedError."""
        while True:
            page = self.get(path, **query)
            yield from page["items"]
            query["cursor"] = page["next_cursor"]
            if page["next_cursor"] is None:
                return

    def _answer(self, path: str) -> Answer:
        answer = self.client.get(path)
        if answer.status != 200:
            raise RefusedError(answer.status, answer.json())
        return answer

    def download(self, path: str, file: BinaryIO) -> int:
        """Writes the answer into the file. Returns its bytes. Raises RefusedError for all but 200."""
        answer = self.client.download(f"{API}{path}", file, SYNC_SECONDS)
        if answer.status != 200:
            raise RefusedError(answer.status, answer.json())
        return file.tell()

    def post(self, path: str, body: object = None, *, seen_by: str = "reevctl status") -> Any:
        """The JSON of an answer. Raises RefusedError for all but success.

        seen_by: the command that shows whether it was done, where nobody came to say so
        """
        maybe = f"it may still be done: see `{seen_by}` before you ask again"
        try:
            answer = self.client.post(f"{API}{path}", body)
        except UnreachableError as error:
            error.hint = maybe if error.sent else ""
            raise
        if answer.status not in (200, 202):
            refusal = RefusedError(answer.status, answer.json(), again=answer.again)
            refusal.hint = maybe if answer.status == 503 else ""
            raise refusal
        return answer.json()

    def say(self, answer: Any, text: str, paint: Callable[..., str] = render.colour) -> None:
        """Prints `answer` as it came with --json, else `text`, which `paint` colours where it is `wanted`."""
        print(json.dumps(answer, ensure_ascii=False) if self.asked.json else paint(text, wanted=self.tty))
