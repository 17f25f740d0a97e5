"""Chat completions over HTTP, as servers compatible with OpenAI's take them: bounded, retried, clear on failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import httpx

from runner.errors import AgentError
from runner.exchange import AGAIN, MIB, PAUSE, Answer, Exchange, ExchangeError
from runner.site import Site

TIMEOUT = httpx.Timeout(120.0, connect=10.0)
MOST_BYTES = 16 * MIB
STREAM = ("data:", "event:", ": ")

# What services say of an empty account, under the status of "too many requests": waiting does not fill it.
NO_MONEY = ("insufficient_quota", "insufficient balance", "insufficient credit")
BALANCE = "see the balance of the account at the service"
TOO_LONG = ("context length", "context_length", "context window", "maximum context", "too many tokens")
NO_TOOLS = ("support tool", "support function", "tool use", "tool_choice", "tool choice")

T = TypeVar("T")


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
    pause: float = PAUSE


class Completions:
    """Raises AgentError, which names the service and never its key."""

    def __init__(self, service: Service) -> None:
        self._service, self._site = service, Site(service.address, service.key)
        headers = {"Authorization": f"Bearer {service.key}"} if service.key else {}
        try:
            self._exchange = Exchange(
                self._site, TIMEOUT, MOST_BYTES, headers=headers, pause=service.pause, patient=True
            )
        except ExchangeError as error:
            raise self._error(error.why, error.hint) from None

    def close(self) -> None:
        self._exchange.close()

    def first_model(self) -> str:
        """The first one that the server has."""
        found = self._ask("GET", "/models", None, _good)
        models = found.get("data") if isinstance(found, dict) else None
        models = models if isinstance(models, list) else []
        names = [str(model["id"]) for model in models if isinstance(model, dict) and model.get("id")]
        if not names:
            raise self._error("it names no model", "load one there, or set REEV_LOCAL_MODEL")
        return names[0]

    def ask(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> Reply:
        asked: dict[str, Any] = {"model": self._service.model, "messages": messages, "temperature": 0, "stream": False}
        if tools:
            asked |= {"tools": tools, "tool_choice": "auto"}
        return self._ask("POST", "/chat/completions", asked, _reply)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None, read: Callable[[Answer], T]) -> T:
        try:
            return self._exchange.ask(method, path, read, body=body)
        except ExchangeError as error:
            raise self._error(error.why, error.hint or self._hint(error)) from None

    def _hint(self, error: ExchangeError) -> str:
        """What to try, by what usually is wrong where a service answers so."""
        said, status = error.why.lower(), error.status
        if status is None:
            return "start it, or see its address; try again later"
        if status in (401, 403):
            return f"see the key in {self._service.key_variable}"
        if status == 402:
            return BALANCE
        if status == 413 or any(words in said for words in TOO_LONG):
            return "choose a model that reads more at once, or set REEV_MAX_TURNS lower"
        if status in AGAIN or status >= 500:
            return "try again later, or see what the service says of itself"
        if status in (400, 422) and any(words in said for words in NO_TOOLS):
            return "choose a model that calls tools"
        if status in (404, 405) or 300 <= status < 400 or "model" in said:
            return "see the name of the model and the address of the service"
        if 200 <= status < 300:
            return "see the server's log and its address, or choose another model"
        return "see what the service says; another --agent may do"

    def _error(self, why: str, hint: str) -> AgentError:
        return AgentError("asking", f"{self._service.model or 'for a model'} at {self._site.shown}", why, hint)


def _good(answer: Answer) -> Any:
    """The JSON of a success. Some services tell of a failure with the status of a success."""
    try:
        found = answer.good()
    except ExchangeError as error:
        if answer.text.startswith(STREAM):
            why = "it streams its answer, which it was asked not to do"
            raise ExchangeError(
                why, status=answer.status, hint="turn streaming off there, or use another server"
            ) from None
        if any(words in answer.text.lower() for words in NO_MONEY):
            raise ExchangeError(error.why, status=error.status, hint=BALANCE) from None
        raise
    fault = found.get("error") if isinstance(found, dict) else None
    if fault:
        code = fault.get("code") if isinstance(fault, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else answer.status
        again = status in AGAIN or status >= 500
        raise ExchangeError(f"it answered {answer.status} with an error{answer.said()}", again=again, status=status)
    return found


def _reply(answer: Answer) -> Reply:
    found = _good(answer)
    choices = found.get("choices") if isinstance(found, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ExchangeError("its answer holds no message", again=True, status=answer.status)
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
