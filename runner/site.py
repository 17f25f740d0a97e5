"""The address of a service: what may be told of it, and what must not. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    import httpx

MASK = "***"
UNREADABLE = "an address that cannot be read"

# A shorter word of an address is no key, and is a part of other words.
SHORTEST_WORD, SHORTEST_SEGMENT = 4, 16

# Nor is one of so many characters found by chance within data that is told as text.
NEVER_BY_CHANCE = 8
PART_OF_DATA = r"[\w+/=-]"


def shown(url: str) -> str:
    """Scheme, host and port. Services take keys in any of the other parts."""
    parts = _split(url)
    if parts is None or not parts.scheme or not parts.hostname:
        return UNREADABLE
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")


class Site:
    """`key` is what goes to the service beside its address; empty where nothing does."""

    def __init__(self, url: str, key: str = "") -> None:
        self.shown = shown(url)
        self._url = url.strip()
        found = {key, *_secrets(self._url)} - {""}
        # The longest first: one may be a part of another.
        self._secrets = sorted(found, key=len, reverse=True)
        alone = rf"(?<!{PART_OF_DATA})%s(?!{PART_OF_DATA})"
        patterns = [
            re.escape(each) if len(each) >= NEVER_BY_CHANCE else alone % re.escape(each) for each in self._secrets
        ]
        self._in_content = re.compile("|".join(patterns)) if patterns else None

    @property
    def usable(self) -> bool:
        # Loaded here: to tell of an address, every run needs this module, and few ask over HTTP.
        import httpx

        try:
            url = httpx.URL(self._url)
        except httpx.InvalidURL:
            return False
        return self.shown != UNREADABLE and url.scheme in ("http", "https") and bool(url.host)

    @property
    def encrypted(self) -> bool:
        return self._url.lower().startswith("https:")

    def at(self, path: str, query: Mapping[str, str] | None = None) -> httpx.URL:
        """The address of a path below the service's own; what it asks for in its query stays."""
        import httpx

        url = httpx.URL(self._url)
        if path:
            url = url.copy_with(path=f"{url.path.rstrip('/')}{path}", fragment=None)
        return url.copy_merge_params(query) if query else url

    def hide(self, text: str) -> str:
        """The text with each key of the service replaced."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def hidden(self, value: Any) -> Any:
        """The same for JSON, names of its members included; a short key only where it stands as a word of its own."""
        if self._in_content is None:
            return value
        if isinstance(value, str):
            return self._in_content.sub(MASK, value)
        if isinstance(value, list):
            return [self.hidden(each) for each in value]
        if isinstance(value, dict):
            return {self.hidden(name): self.hidden(each) for name, each in value.items()}
        return value


def _split(url: str) -> SplitResult | None:
    """None where no part of it can be told for sure to be the host."""
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 (it is read here, and may be none)
    except ValueError:
        return None
    # An unquoted / ? or # in a password ends what looks like the host.
    behind = f"{parts.path}?{parts.query}#{parts.fragment}"
    return None if "@" in behind else parts


def _secrets(url: str) -> Iterator[str]:
    """What may be a key in an address: as it stands there, and as a service reads it."""
    rest = url.partition("://")[2] or url
    userinfo = rest.rpartition("@")[0]
    name, _, password = userinfo.partition(":")
    yield from (password, unquote(password))
    if userinfo:
        yield base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    place, _, query = rest.rpartition("@")[2].partition("?")
    segments = [each for each in place.split("/")[1:] if len(each) >= SHORTEST_SEGMENT]
    values = [each.partition("=")[2] for each in query.replace("#", "&").split("&")]
    for word in (name, *segments, *values, *(value for _, value in parse_qsl(query))):
        if len(word) >= SHORTEST_WORD:
            yield from (word, unquote(word))
