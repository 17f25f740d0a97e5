"""A transport that sends the head of an answer together with its body: every write wakes whoever waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

MOST = 64 << 10  # of a body that is worth copying for it


class Cork:
    """Holds a head back where it promises a body of known length, which its writer has ready.

    `flush` when an answer is complete: it may have had no body after all.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._head and len(data) <= MOST:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and b"\r\ncontent-length: " in data:
            self.flush()
            self._head = data
            return
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()
