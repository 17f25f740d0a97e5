"""Chat completions over HTTP, as servers compatible with OpenAI's take them: bounded, retried, clear on failure."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from runner.errors import AgentError

TIMEOUT = httpx.Timeout(120.0, connect=10.0)
TRIES = 5
LONGEST_PAUSE = 30.0
AGAIN = (408, 409, 425, 429)
MOST_BYTES = 16 << 20


class Reply(NamedTuple):
    """The model's message; tokens as the server counted them, 0 where it did not."""

    message: Mapping[str, Any]
    finish_reason: str
    input_tokens: int
    output_tokens: int


class Service(NamedTuple):
    """Where a model is to be had. `pause`: seconds before the first new try; each one after waits twice as long.

    model: empty where the first one is asked for that the server has. provider: who runs the service, in one word
    """

    model: str
    provider: str
    address: str
    key: str
    key_variable: str
    pause: float = 1.0


class Completions:
    """Raises AgentError, which names the service and never its key."""

    def __init__(self, service: Service) -> None:
        self._service = service
        headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
        self._client = httpx.Client(base_url=service.address, headers=headers, timeout=TIMEOUT)

    def close(self) -> None:
        self._client.close()

    def first_model(self) -> str:
        """The first one that the server has."""
        found = self._answer("GET", "/models", None)
        models = found.get("data") if isinstance(found, dict) else None
        names = [str(model["id"]) for model in models or () if isinstance(model, dict) and model.get("id")]
        if not names:
            raise self._error("it names no model", "load one there, or set REEV_LOCAL_MODEL")
        return names[0]

    def ask(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Reply:
        asked: dict[str, Any] = {"model": self._service.model, "messages": messages, "temperature": 0, "stream": False}
        if tools:
            asked |= {"tools": tools, "tool_choice": "auto"}
        for attempt in range(TRIES):
            reply = _reply(self._answer("POST", "/chat/completions", asked))
            if reply is not None:
                return reply
            self._wait(attempt, None)
        raise self._error(f"{TRIES} answers held no message", "see the server's log, or choose another model")

    def _answer(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """The JSON of the first good answer, of so many tries."""
        why, hint = "", ""
        for attempt in range(TRIES):
            hint = "start it, or see its address; try again later"
            try:
                with self._client.stream(method, path, json=body) as answer:
                    text = _text(answer)
            except httpx.TimeoutException:
                why = "it did not answer in time"
            except httpx.TransportError as error:
                why = str(error) or type(error).__name__
            else:
                if answer.is_success:
                    return _json(text)
                why = f"it answered {answer.status_code} {answer.reason_phrase}{_said(text)}"
                if answer.status_code < 500 and answer.status_code not in AGAIN:
                    raise self._refused(answer.status_code, why)
                hint = "try again later, or see what the service says of itself"
                self._wait(attempt, answer.headers.get("retry-after"))
                continue
            self._wait(attempt, None)
        raise self._error(f"{why} ({TRIES} tries)", hint)

    def _wait(self, attempt: int, wished: str | None) -> None:
        """Longer each time, and never at the same moment as everybody else; or as long as the server wishes."""
        if attempt + 1 == TRIES:
            return
        pause = self._service.pause * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 (not for secrets)
        if wished is not None and wished.isdecimal():
            pause = max(pause, float(wished))
        time.sleep(min(pause, LONGEST_PAUSE))

    def _refused(self, status: int, why: str) -> AgentError:
        if status in (401, 403):
            return self._error(why, f"see the key in {self._service.key_variable}")
        if status == 404 or "model" in why.lower():
            return self._error(why, "see the name of the model and the address of the service")
        return self._error(why, "see what the service says; another --agent may do")

    def _error(self, why: str, hint: str) -> AgentError:
        return AgentError("asking", f"{self._service.model or 'for a model'} at {self._service.address}", why, hint)


def _text(answer: httpx.Response) -> bytes:
    found = bytearray()
    for part in answer.iter_bytes():
        found += part
        if len(found) > MOST_BYTES:
            break
    return bytes(found)


def _json(text: bytes) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _said(text: bytes) -> str:
    """What the server says of an error, in whichever of the usual shapes."""
    found = _json(text)
    error = found.get("error", found) if isinstance(found, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    said = message if isinstance(message, str) else text[:200].decode(errors="replace")
    return f": {said[:300]}" if said.strip() else ""


def _reply(found: Any) -> Reply | None:
    choices = found.get("choices") if isinstance(found, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    usage = found.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        message,
        str(choice.get("finish_reason") or ""),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
