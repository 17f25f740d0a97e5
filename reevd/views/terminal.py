"""What a terminal is shown: marks for states, and text that cannot act on it. Pure, and imports nothing."""

from __future__ import annotations

MARKS = {"Queued": "…", "Running": "▶", "Completed": "✔", "Failed": "✘", "Stopped": "■", "Timeout": "⏱"}


def safe(value: object) -> str:
    """Text without anything that a terminal could act on: control characters, also those that turn text round."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def counted(count: int, noun: str) -> str:
    """`1 step`, `1,200 steps`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
