"""One invocation of `reevctl`: what was asked, of whom, and how its answer is printed."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from reevd.ctl import render
from reevd.ctl.client import Client, find_socket, part

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

DONE, UNSUCCESSFUL, USAGE, NO_DAEMON, NOT_FOUND, TIMED_OUT = 0, 1, 2, 3, 4, 124
API = "/api/v1"


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

    def say(self, answer: Any, text: str, paint: Callable[..., str] = render.colour) -> None:
        """Prints `answer` as it came with --json, else `text`, which `paint` colours where it is `wanted`."""
        print(json.dumps(answer, ensure_ascii=False) if self.asked.json else paint(text, wanted=self._tty))
