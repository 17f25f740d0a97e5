"""Conversions between the times that writers use and ours. Pure: the clock is elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
NUMBER = int | float  # made once: making it costs more than asking
MILLISECONDS_FROM, MICROSECONDS_FROM = 10**11, 10**14
LATEST = int((datetime(9999, 12, 31, tzinfo=UTC) - EPOCH).total_seconds()) * SECOND


@lru_cache(4096)  # the moment of a batch is told many times over
def rfc3339(micros: int) -> str:
    """`2026-01-31T12:00:00.000000Z`; always 27 characters. Raises OverflowError outside the years 1 to 9999."""
    seconds, rest = divmod(micros, SECOND)
    return f"{_to_the_second(seconds)}.{rest:06d}Z"


@lru_cache(1024)
def _to_the_second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:-6]


def from_rfc3339(text: str) -> int | None:
    """Microseconds since 1970, or None where the text is no such time. Without an offset it is taken as UTC."""
    if len(text) == 27 and text[19] == "." and text[26] == "Z":
        rest = text[20:26]
        if rest.isdecimal() and rest.isascii():
            # Our own form, and most writers': lines of one second share the costly part.
            second = _second(text[:19])
            return None if second is None else second + int(rest)
    return _moment(text)


@lru_cache(1024)
def _second(text: str) -> int | None:
    return _moment(text)


def _moment(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_micros(value: object) -> int | None:
    """A writer's time, in microseconds since 1970, or None where it is none.

    Takes integers and floats (seconds; milliseconds or microseconds where the size leaves no doubt) and
    RFC 3339 text.
    """
    if type(value) is int and 0 <= value < MILLISECONDS_FROM:  # nearly always
        return value * SECOND
    if isinstance(value, str):
        micros = from_rfc3339(value)
    elif isinstance(value, bool) or not isinstance(value, NUMBER):
        return None
    else:
        magnitude = abs(value)
        if not magnitude <= LATEST:  # neither is NaN
            return None
        unit = SECOND if magnitude < MILLISECONDS_FROM else 1_000 if magnitude < MICROSECONDS_FROM else 1
        micros = value * unit if isinstance(value, int) else round(value * unit)
    return micros if micros is not None and 0 <= micros <= LATEST else None


def sharpest(told: int | None, seen: int | None) -> int | None:
    """A writer's time; another one where that is the same moment, told to less than a second."""
    if told is None or seen is None:
        return told or seen or None
    return seen if told % SECOND == 0 and 0 <= seen - told < SECOND else told
