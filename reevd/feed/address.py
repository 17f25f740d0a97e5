"""The address of somebody who is to be told. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def check_address(text: str) -> None:
    """Raises ValueError where no request could ever be sent there."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("there are characters in it that have to be escaped with %")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it is no address with http:// or https:// and a host")
    if "@" in parts.netloc:
        raise ValueError("a user and a password in it are not sent")
    if parts.port == 0:
        raise ValueError("there is no port 0")
