"""Keeps the secrets of the environment out of what is stored, logged or answered. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

SECRET = re.compile("KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH", re.IGNORECASE)
# Shorter ones would take ordinary words out of the text.
SHORTEST = 6


def redact(text: str, environ: Mapping[str, str]) -> str:
    """The text with the value of each variable that has a secret's name replaced by that name, in brackets."""
    found = {value: name for name, value in environ.items() if len(value) >= SHORTEST and SECRET.search(name)}
    for value in sorted(found, key=len, reverse=True):  # one may be a part of another
        text = text.replace(value, f"[{found[value]}]")
    return text
