"""Text that came out of a file, made fit for one line: escaped, and bounded in length. Pure."""

from __future__ import annotations

from reevd.session_file import dumps
from reevd.views.terminal import safe

LONGEST = 1_000
PROSE = 300


def line(value: object, most: int = LONGEST) -> str:
    """Any JSON value on one line: text as it is, all else as JSON. What is longer than `most` is cut, and says so."""
    text = value if isinstance(value, str) else dumps(value)
    return safe(text) if len(text) <= most else f"{safe(text[:most])}… ({len(text):,} characters)"


def prose(value: object, most: int = PROSE) -> str:
    """What somebody wrote: its lines become one."""
    return line(" ".join(value[: most * 100].split()) if isinstance(value, str) else value, most)


def parameters(value: object, most: int = LONGEST) -> str:
    """The parameters of a call: `amount=5, to=RECIPIENT`; those that are null are left out."""
    if not isinstance(value, dict):
        return "" if value is None else line(value, most)
    return line(
        ", ".join(f"{k}={v if isinstance(v, str) else dumps(v)}" for k, v in value.items() if v is not None), most
    )


def percent(value: object) -> str:
    """`75.0%` for 0.75; the empty string for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        return ""
    return f"{value:.1%}"


def milliseconds(value: object) -> str:
    """`0.5 ms`, `37.0 s`; the empty string for what is no number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        return ""
    return f"{value / 1000:,.1f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
