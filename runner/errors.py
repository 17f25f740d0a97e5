"""Errors that a person can act on: what was being done, to what, why it failed, what to try."""

from __future__ import annotations

from typing import Literal

Kind = Literal["interrupted", "timeout", "agent", "chain", "internal", "transaction"]


def legible(text: object) -> str:
    """As UTF-8 has it: a byte of a file's name that is no UTF-8 is written as an escape."""
    return str(text).encode("utf-8", "backslashreplace").decode()


class RunnerError(Exception):
    """A failure told in full. `str()` is one line; `hint` says what to try and may be empty."""

    exit_status = 1
    kind: Kind = "internal"

    def __init__(self, doing: str, subject: str, why: object, hint: str = "") -> None:
        super().__init__(doing, subject, why, hint)
        self.doing, self.subject, self.why, self.hint = doing, legible(subject), legible(why), hint

    def __str__(self) -> str:
        return f"{self.doing} {self.subject}: {self.why}"


class UsageError(RunnerError):
    """The command line or a setting asks for what cannot be done."""

    exit_status = 2


class CaseError(RunnerError):
    """A benchmark's YAML is not valid. `line` counts from 1; `field` is its path, such as `initial_state[0].owner`."""

    exit_status = 2

    def __init__(self, file: str, line: int, field: str, why: str) -> None:
        where = f"{file}:{line}" + (f" {field}" if field else "")
        super().__init__("reading the benchmark", where, why, "correct the file, then run it again")
        self.file, self.line, self.field = file, line, field


class ChainError(RunnerError):
    """The chain cannot be reached, or cannot be used as it must be."""

    exit_status = 3
    kind: Kind = "chain"


class AgentError(RunnerError):
    """The agent cannot be reached, or cannot act on this case."""

    exit_status = 3
    kind: Kind = "agent"


class StoppedError(BaseException):
    """A signal or the time limit ends the run. No Exception: code in between must not take it for one of its own."""

    def __init__(self, kind: Literal["interrupted", "timeout"], message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message
        self.exit_status = 124 if kind == "timeout" else 130
