"""Errors that a person can act on: what was being done, to what, why it failed, what to try."""

from __future__ import annotations


class ReevdError(Exception):
    """A failure told in full. `str()` is one line; `hint` says what to try and may be empty."""

    def __init__(self, doing: str, subject: str, why: object, hint: str = "") -> None:
        super().__init__(doing, subject, why, hint)
        self.doing, self.subject, self.why, self.hint = doing, subject, str(why), hint

    def __str__(self) -> str:
        return f"{self.doing} {self.subject}: {self.why}"


class ConfigError(ReevdError):
    """A setting that cannot be used."""


class BusyError(ReevdError):
    """Another daemon holds the lock, the socket or the database."""


class SchemaError(ReevdError):
    """The database was written by a newer reevd."""


class UnreadableError(Exception):
    """A file whose bytes are not (yet) what they should be.

    kind: one short word of the field `kind` in /problems, such as `empty`, `json`, `shape`, `size`.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.message = kind, message


def defect(error: Exception) -> UnreadableError:
    """A failure of ours, as trouble with the one file that it shows with: all others go on."""
    why = f"reading it failed inside reevd, which is a defect: {type(error).__name__}: {error}"
    return UnreadableError("internal", why)
