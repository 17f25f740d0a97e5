"""Structured logs on stderr, which never wait for whoever reads stderr."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping
from typing import Any

import structlog

from reevd.views.terminal import safe

WAITING = 10_000


class Outlet:
    """A stream that drops lines rather than block: a full pipe must not stop the daemon."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        return len(text)

    def flush(self) -> None:
        """Nothing: lines leave by themselves."""

    def close(self) -> None:
        """Waits for the last lines, but not for ever."""
        try:
            self._lines.put(None, timeout=0.5)
        except queue.Full:
            return
        self._thread.join(0.5)

    def _drain(self) -> None:
        while (text := self._lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                text = f"{dropped} log lines were dropped: stderr was not read\n{text}"
            try:
                with open(self._descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as stream:
                    stream.write(text)
            except OSError:
                self._dropped += 1


# syslog's numbers: journald takes them off again, and `journalctl -p warning` finds what it should.
PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


class Prioritized:
    """Each line as the journal wants it, with its priority in front."""

    def __init__(self, renderer: Any) -> None:
        self._renderer = renderer

    def __call__(self, logger: Any, method: str, event: structlog.typing.EventDict) -> str:
        prefix = f"<{PRIORITIES[event['level']]}>"
        return "\n".join(prefix + line for line in str(self._renderer(logger, method, event)).split("\n"))


def _journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether that goes to systemd's journal: a child whose stderr goes elsewhere has the variable all the same."""
    stream = os.fstat(descriptor)
    return environ.get("JOURNAL_STREAM") == f"{stream.st_dev}:{stream.st_ino}"


class Bridge(logging.Handler):
    """What libraries log in the standard way goes the same way as ours."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(record.levelno, record.getMessage().strip(), exc_info=record.exc_info)


def harmless(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escapes whatever a terminal could act on: the names and words of strangers' files are among the values."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = "\n".join(map(safe, value.split("\n")))
    return event


def _console(*, colors: bool) -> list[Any]:
    """The last processors of what a person reads. A plain traceback: of a recursion it does not show each step."""
    plain = structlog.dev.plain_traceback
    return [
        structlog.processors.ExceptionRenderer(),
        harmless,
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),
    ]


def configure(log_format: str) -> Outlet:
    """`json`, `console` or `auto` (console where stderr is a terminal). Call once a process.

    Who ends the process without Python's own way out closes the outlet first: the last lines say why.
    """
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    outlet = Outlet(2)
    atexit.register(outlet.close)
    machine = [structlog.processors.ExceptionRenderer(), structlog.processors.JSONRenderer(ensure_ascii=True)]
    rendering: list[Any] = _console(colors=sys.stderr.isatty()) if console else machine
    if _journal(2, os.environ):
        rendering[-1] = Prioritized(rendering[-1])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=outlet),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[Bridge()], level=logging.WARNING, force=True)
    return outlet


def silence() -> None:
    """Errors only, on stderr: for a command that answers by itself."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, *_console(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
