"""One invocation of `reevctl`: what was asked, of whom, and how its answer is printed."""

from __future__ import annotations

import json
import os
import sys

from reevd.ctl import render
from reevd.ctl.client import SYNC_SECONDS, Client, UnreachableError, find_socket, part

TYPE_CHECKING = False  # as `typing` has it, which takes longer to import than the daemon takes to answer
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping
    from typing import Any, BinaryIO

DONE, UNSUCCESSFUL, USAGE, NO_DAEMON, NOT_FOUND, TIMED_OUT = 0, 1, 2, 3, 4, 124
API = "/api/v1"


class RefusedError(Exception):
    """The daemon answered with an error. `again`: to a question whose first answer was lost."""

    def __init__(self, status: int, body: dict[str, Any], *, again: bool = False) -> None:
        super().__init__(body.get("message") or body.get("error") or f"HTTP {status}")
        self.status, self.again, self.hint = status, again, ""


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

    def get(self, path: str, **query: object) -> Any:
        """The JSON of an answer. Raises RefusedError for all but 200."""
        answer = self.client.get(f"{API}{path}{query_text(query)}")
        if answer.status != 200:
            raise RefusedError(answer.status, answer.json())
        return answer.json()

    def text(self, path: str, **query: object) -> str:
        """An answer that is no JSON. Raises RefusedError for all but 200."""
        answer = self.client.get(f"{API}{path}{query_text(query)}")
        if answer.status != 200:
            raise RefusedError(answer.status, answer.json())
        return answer.text.decode()

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
