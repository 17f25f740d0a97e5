"""Who follows: a collector of traces, a command, a webhook. Each delivers outcomes its own way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import orjson
import structlog

from reevd.feed import sending
from reevd.feed.outbox import Outbox, Waiting
from reevd.feed.outcome import Outcome, Wanted, fill
from reevd.origin import origin
from reevd.runs.launch import OWN
from reevd.runs.redact import SECRET

FORWARD_BATCH, NOTICE_BATCH = 50, 32
AT_ONCE = 4
POST_SECONDS = 10.0
MOST_LINES = 10
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0

log = structlog.get_logger("reevd.feed")


def pause(attempts: int) -> float:
    """Seconds until the next attempt: twice as long each time."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts, 20)))


class Follower(Protocol):
    """`wanted`: what it wants to hear of. `batch`: how many outcomes it takes at once."""

    name: str
    wanted: Wanted
    batch: int

    def deliver(self, outbox: Outbox, items: Sequence[tuple[Waiting, Outcome]]) -> float:
        """Delivers what it can, and notes in the outbox how that went. Returns the seconds to wait until the next."""


class Forward:
    """To a collector, as OTLP traces over HTTP. One that is away is waited for, for ever."""

    name, batch = "forward", FORWARD_BATCH

    def __init__(self, endpoint: str, rate: float, environ: Mapping[str, str]) -> None:
        """Raises ImportError where the extra `otlp` is not installed. `rate`: executions a second."""
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        from reevd.feed.spans import traces

        own = origin("feed")
        self._encode: Callable[[list[Outcome]], bytes] = lambda found: encode_spans(
            traces(found, own)
        ).SerializeToString()
        self._url, self._rate = f"{endpoint.rstrip('/')}/v1/traces", rate
        self._headers = {"Content-Type": "application/x-protobuf", **_headers(environ)}
        self._failures = 0
        self.wanted = Wanted(calls=True)

    def deliver(self, outbox: Outbox, items: Sequence[tuple[Waiting, Outcome]]) -> float:
        portions, refused = [items], 0
        while portions:
            portion = portions.pop()
            sent = self._send([o for _, o in portion])
            if sent.why and not sent.final:
                return self._wait(outbox, sent.why)
            if sent.final and (half := len(portion) // 2):  # the others of a portion are not to go with the one
                portions += [portion[half:], portion[:half]]
                continue
            if sent.final and (refused := refused + 1) <= MOST_LINES:
                log.error("forwarding given up", execution_id=portion[0][1].execution_id, why=sent.why)
            outbox.done([item for item, _ in portion], given_up=sent.final)
        if refused > MOST_LINES:
            log.error("forwarding given up, others too", count=refused - MOST_LINES)
        return len(items) / self._rate

    def _send(self, outcomes: list[Outcome]) -> sending.Sent:
        try:
            body = self._encode(outcomes)
        except Exception as error:  # noqa: BLE001 - whatever is odd about one must not keep the others, for ever
            return sending.Sent(f"it makes no trace: {type(error).__name__}: {error}", final=True)
        sent = sending.post(self._url, body, self._headers, POST_SECONDS)
        if self._failures and (sent.final or not sent.why):
            log.info("the collector is back")
            self._failures = 0
        return sent

    def _wait(self, outbox: Outbox, why: str) -> float:
        outbox.failed()
        if not self._failures:
            log.warning("forwarding waits for the collector", why=why, retry="for ever")
        self._failures += 1
        return pause(self._failures)


class Notice:
    """To a command or a webhook, one outcome each; what fails is tried again, so often and no more."""

    batch = NOTICE_BATCH

    def __init__(self, name: str, tell: Callable[[Outcome], sending.Sent], wanted: Wanted, attempts: int) -> None:
        self.name, self.wanted = name, wanted
        self._tell, self._attempts = tell, attempts

    def deliver(self, outbox: Outbox, items: Sequence[tuple[Waiting, Outcome]]) -> float:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for (item, outcome), sent in zip(items, pool.map(self._tell, [o for _, o in items]), strict=True):
                told = {"notice": self.name, "execution_id": outcome.execution_id, "status": outcome.status}
                if not sent.why:
                    outbox.done([item])
                elif sent.final or item.attempts + 1 >= self._attempts:
                    outbox.done([item], given_up=True)
                    log.error("notice given up", **told, why=sent.why, attempts=item.attempts + 1)
                else:
                    wait = pause(item.attempts)
                    outbox.put_off(item, time.time() + wait)
                    log.warning("notice failed", **told, why=sent.why, attempts=item.attempts + 1, again_in=wait)
        return 0.0


def command(arguments: Sequence[str], seconds: float, environ: Mapping[str, str]) -> Callable[[Outcome], sending.Sent]:
    """The command hears of the outcome by its arguments; of the daemon's secrets, and its systemd, nothing."""
    own = {name: value for name, value in environ.items() if name not in OWN and not SECRET.search(name)}
    return lambda outcome: sending.run(fill(arguments, outcome), own, seconds)


def webhook(url: str, seconds: float) -> Callable[[Outcome], sending.Sent]:
    def tell(outcome: Outcome) -> sending.Sent:
        key = f"{outcome.execution_id}:{outcome.status}:{outcome.ended_at}"
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "reevd"}
        return sending.post(url, orjson.dumps(outcome.to_json()), headers, seconds)

    return tell


def _headers(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """As OpenTelemetry's own exporters read them: `name=value,name=value`."""
    text = environ.get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip(): value.strip() for name, _, value in pairs}
