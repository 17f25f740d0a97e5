"""Questions to a service over HTTP: bounded in time and size, and asked again where that may help."""

from __future__ import annotations

import os
import random
import ssl
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import httpx
import orjson

from runner.setting import not_negative
from runner.site import Site, shown

TRIES = 5
LONGEST_PAUSE = 30.0
AGAIN = (408, 409, 425, 429)
SAID = 300
MIB = 1 << 20
PAUSE_VARIABLE, PAUSE = "REEV_RETRY_SECONDS", 1.0
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

# For a service that is asked in the clear: no certificate is shown, and none would do.
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

T = TypeVar("T")


class ExchangeError(Exception):
    """Nothing came that can be used. `again`: asking once more may help; `wished`: after so many seconds at least.

    status: of HTTP, where there is an answer; hint: what to try, or empty
    """

    def __init__(
        self, why: str, *, again: bool = False, status: int | None = None, wished: float = 0.0, hint: str = ""
    ) -> None:
        super().__init__(why)
        self.why, self.again, self.status, self.wished, self.hint = why, again, status, wished, hint


class Answer(NamedTuple):
    """What came, without the service's keys. `content` is its JSON; None where it is none, and for a bare null."""

    status: int
    reason: str
    text: str
    content: Any
    retry_after: float
    leads_to: str

    def good(self) -> Any:
        """The JSON of a success. Raises ExchangeError on anything else."""
        if not 200 <= self.status < 300:
            why = f"it answered {self.status} {self.reason}".rstrip() + self.leads_to + self.said()
            again = self.status >= 500 or self.status in AGAIN
            raise ExchangeError(why, again=again, status=self.status, wished=self.retry_after)
        if self.content is None:
            begins = f" (it begins with {self.text[:40]!r})" if self.text.strip() else " (it is empty)"
            raise ExchangeError(f"what it answered is no JSON{begins}", again=True, status=self.status)
        return self.content

    def said(self) -> str:
        """What the service says of an error, in whichever of the usual shapes."""
        found = self.content
        error = found.get("error", found) if isinstance(found, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        said = message if isinstance(message, str) else self.text
        return f": {said[:SAID]}" if said.strip() else ""


class Exchange:
    """`patient`: also a service that is not there is asked again. `pause`: seconds before the first new try; each
    one after waits twice as long. Raises ExchangeError where the settings of this process allow no HTTP."""

    def __init__(
        self,
        site: Site,
        timeout: httpx.Timeout,
        most_bytes: int,
        *,
        headers: Mapping[str, str] | None = None,
        pause: float = PAUSE,
        patient: bool = False,
    ) -> None:
        self._site, self._most_bytes, self._pause, self._patient = site, most_bytes, pause, patient
        try:
            trusted = _trusted(*map(os.environ.get, CERTIFICATES)) if site.encrypted else NOBODY
            self._client = httpx.Client(headers=headers, timeout=timeout, verify=trusted, follow_redirects=False)
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            names = CERTIFICATES if isinstance(error, OSError) else PROXIES
            given = " and ".join(name for name in names if os.environ.get(name) or os.environ.get(name.lower()))
            why = f"HTTP cannot be set up with {given or 'the settings of this host'}: {_kind(error)}"
            raise ExchangeError(why, hint=f"correct or unset {given or ', '.join(names)}") from None

    def close(self) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        read: Callable[[Answer], T],
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> T:
        """What `read` makes of the answer. It raises ExchangeError where it cannot, and may have it asked again."""
        tried = 0
        while True:
            try:
                return read(self._once(method, self._site.at(path, query), body))
            except ExchangeError as error:
                tried += 1
                if error.again and tried < TRIES:
                    self._wait(tried, error.wished)
                    continue
                why = f"{error.why} ({tried} tries)" if tried > 1 else error.why
                raise ExchangeError(why, status=error.status, hint=error.hint) from None

    def _once(self, method: str, url: httpx.URL, body: Any) -> Answer:
        try:
            with self._client.stream(method, url, json=body) as answer:
                raw = self._text(answer)
        except httpx.TimeoutException:
            raise ExchangeError("it did not answer in time", again=True) from None
        except httpx.RequestError as error:
            why = self._site.hide(str(error)) or type(error).__name__
            lasting = isinstance(error, httpx.UnsupportedProtocol | httpx.DecodingError)
            raise ExchangeError(why, again=not lasting and (self._patient or not _absent(error))) from None
        to = answer.headers.get("location", "") if answer.is_redirect else ""
        return Answer(
            answer.status_code,
            self._site.hide(answer.reason_phrase),
            self._site.hide(raw.decode(errors="replace")),
            self._content(raw),
            _seconds(answer.headers.get("retry-after", "")),
            f", and leads to {shown(to) if '://' in to else 'another path'}" if to else "",
        )

    def _text(self, answer: httpx.Response) -> bytes:
        found = bytearray()
        for part in answer.iter_bytes():
            found += part
            if len(found) > self._most_bytes:
                raise ExchangeError(f"its answer has more than {self._most_bytes / MIB:g} MiB")
        return bytes(found)

    def _content(self, raw: bytes) -> Any:
        try:
            return self._site.hidden(orjson.loads(raw))
        except (orjson.JSONDecodeError, RecursionError):
            return None

    def _wait(self, tried: int, wished: float) -> None:
        """Longer each time, and never at the same moment as everybody else; or as long as the service wishes."""
        pause = self._pause * 2 ** (tried - 1) * random.uniform(0.75, 1.25)  # noqa: S311 (not for secrets)
        time.sleep(min(max(pause, wished), LONGEST_PAUSE))


def retry_pause(environ: Mapping[str, str]) -> float:
    """Raises UsageError where the setting is none."""
    return not_negative(environ, PAUSE_VARIABLE, PAUSE, "1 (seconds)")


@lru_cache(4)
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:
    """By the settings of that name. Once for them all: reading the certificates takes longer than most answers."""
    del file, folder  # read by httpx where the environment has them
    return httpx.create_ssl_context()


def _absent(error: httpx.RequestError) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ProxyError)


def _kind(error: Exception) -> str:
    """Without the words of an address: that of a proxy holds its password."""
    if isinstance(error, ImportError):
        return "a proxy of this kind needs socksio, which is not installed"
    if isinstance(error, OSError):
        return str(error)
    return "the address of the proxy is none"


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdecimal() else 0.0
