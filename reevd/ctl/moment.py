"""Times as people say them, for the API. Pure: text and the clock's time in, text out."""

from __future__ import annotations

import re

from reevd.times import SECOND, rfc3339, to_micros

DAY = 86_400
UNITS = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
DAYS = {"today": 0, "yesterday": 1}
AGO = re.compile(r"([0-9]{1,9})([smhdw])")
FORMS = "a date (2026-01-31), a time (2026-01-31T12:00:00Z), today, yesterday, or how long ago (30s, 30m, 1h, 2d, 1w)"


def told(text: str, now: float) -> str | None:
    """RFC 3339 for a word or for how long ago it was; what the API takes as it is; None for all else.

    now: seconds since 1970, where all that is longer ago begins. Days begin at midnight UTC, as dates do.
    """
    if (days := DAYS.get(text)) is not None:
        seconds = int(now) // DAY * DAY - days * DAY
    elif found := AGO.fullmatch(text):
        seconds = int(now) - int(found[1]) * UNITS[found[2]]
    else:
        return text if to_micros(text) is not None else None
    return rfc3339(max(seconds, 0) * SECOND)
