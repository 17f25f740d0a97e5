"""The agents that are language models: they are asked, call tools, and what they collect is executed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from runner.agents import Move, Task, Toolbox
from runner.agents.completions import Completions, Service
from runner.agents.conversation import Asked, answered, going_on, opening, read, same
from runner.case import Case
from runner.errors import AgentError
from runner.exchange import retry_pause
from runner.instruction import Instruction
from runner.setting import not_negative
from runner.site import Site

TURNS, TOOL_CALLS = 12, 32
SUCH_AS = "give a whole one, such as http://localhost:1234/v1"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """What a prompt has cost. `cost_usd` is None where the environment names no prices."""

    model: str
    turns: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None


class LanguageModel:
    """`prices`: US dollars for a million tokens, in and out; None where they are not known."""

    def __init__(
        self, service: Service, prices: tuple[float, float] | None, turns: int = TURNS, calls: int = TOOL_CALLS
    ) -> None:
        self._completions, self._prices = Completions(service), prices
        if not service.model:
            service = service._replace(model=self._completions.first_model())
            self._completions.close()
            self._completions = Completions(service)
        self._model, self._turns, self._calls = service.model, turns, calls
        self._provider = service.provider
        self._messages: list[dict[str, Any]] = []
        self._usage = Usage(service.model)

    def act(self, case: Case, task: Task, tools: Toolbox) -> Move:
        """Asks, and has the tools called that it asks for, until it answers without a call or a bound is met."""
        begun = going_on(self._messages, task) if self._messages else opening(case, task)
        tools.told(task.prompt, "\n\n".join(each["content"] for each in begun if each["role"] != "tool"))
        self._messages += begun
        self._usage = Usage(self._model)
        try:
            return self._converse(tools)
        finally:
            tools.spend(self._spent())

    def _converse(self, tools: Toolbox) -> Move:
        collected: dict[str, tuple[Instruction, ...]] = {}
        thought, ended = None, "turns"
        definitions = list(tools.definitions)
        for turn in range(self._turns):
            reply = tools.request(
                self._model, self._provider, lambda: self._completions.ask(self._messages, definitions)
            )
            self._count(reply.input_tokens, reply.output_tokens)
            message, calls = read(reply.message, turn)
            self._messages.append(message)
            thought = message["content"] or thought
            if not calls:
                ended = reply.finish_reason or "stop"
                break
            for asked in calls:
                if self._usage.tool_calls >= self._calls:
                    refusal = f"no more than {self._calls} calls: answer now, without one"
                    self._messages.append(answered(asked, None, refusal))
                    continue
                self._usage = replace(self._usage, tool_calls=self._usage.tool_calls + 1)
                self._messages.append(_called(asked, tools, collected))
        instructions = tuple(each for several in collected.values() for each in several)
        return Move(instructions, thought, {"usage": self._spent(), "ended": ended})

    def _spent(self) -> dict[str, Any]:
        return {name: getattr(self._usage, name) for name in Usage.__slots__}

    def _count(self, read: int, written: int) -> None:
        usage = self._usage
        read, written = usage.input_tokens + read, usage.output_tokens + written
        cost = None
        if self._prices:
            cost = round((read * self._prices[0] + written * self._prices[1]) / MILLION, 9)
        self._usage = replace(usage, turns=usage.turns + 1, input_tokens=read, output_tokens=written, cost_usd=cost)


def _called(asked: Asked, tools: Toolbox, collected: dict[str, tuple[Instruction, ...]]) -> dict[str, Any]:
    """Makes the call. One that is asked for twice moves nothing twice: a model that means it says so differently."""
    if asked.error is not None:
        tools.refuse(asked.name, asked.error)
        return answered(asked, None, asked.error)
    if same(asked) in collected:
        error = "you have made this very call before, and its instructions stand: it is not made a second time"
        tools.refuse(asked.name, error)
        return answered(asked, None, error)
    called = tools.call(asked.name, asked.arguments)
    if called.error is None and called.instructions:
        collected[same(asked)] = called.instructions
    return answered(asked, called.result, called.error)


def open_agent(name: str, environ: Mapping[str, str]) -> LanguageModel:
    """By its name on the command line.

    Raises AgentError where the environment lacks what it needs, UsageError where one of its settings is none.
    """
    service = SERVICES[name](environ)
    service = service._replace(key=_key(service), address=_address(service, name))
    if not service.key and name != "local":
        why = f"{service.key_variable} is not set"
        raise AgentError(
            "opening the agent", name, why, f"export {service.key_variable}=... with the key of the service"
        )
    turns, calls = (
        _bound(environ, f"REEV_MAX_{what}", most) for what, most in (("TURNS", TURNS), ("CALLS", TOOL_CALLS))
    )
    return LanguageModel(service._replace(pause=retry_pause(environ)), _prices(environ), turns, calls)


def _key(service: Service) -> str:
    """What no header can carry would be quoted in errors, and a key must stand in none."""
    key = service.key.strip()
    if not all("!" <= letter <= "~" for letter in key):
        why = "it holds a character that no key has, such as a space or a line's end"
        raise AgentError("reading the key in", service.key_variable, why, "copy it again, and nothing else")
    return key


def _address(service: Service, name: str) -> str:
    address = service.address.strip()
    site = Site(address)
    if not site.usable:
        raise AgentError("opening the agent", name, f"its address ({site.shown}) is none", SUCH_AS)
    return address


def _bound(environ: Mapping[str, str], name: str, default: int) -> int:
    return max(1, int(not_negative(environ, name, default, str(default))))


def _prices(environ: Mapping[str, str]) -> tuple[float, float] | None:
    such_as = "0.6 (US dollars for a million tokens)"
    given = [not_negative(environ, f"REEV_PRICE_{what}", math.nan, such_as) for what in ("INPUT", "OUTPUT")]
    return None if any(map(math.isnan, given)) else (given[0], given[1])


def _zai(environ: Mapping[str, str]) -> Service:
    address = environ.get("ZAI_API_URL") or "https://api.z.ai/api/paas/v4"
    return Service("glm-4.6", "z.ai", address, environ.get("ZAI_API_KEY", ""), "ZAI_API_KEY")


def _zai_coding(environ: Mapping[str, str]) -> Service:
    address = environ.get("GLM_CODING_API_URL") or "https://api.z.ai/api/coding/paas/v4"
    return Service("glm-4.6", "z.ai", address, environ.get("GLM_CODING_API_KEY", ""), "GLM_CODING_API_KEY")


def _local(environ: Mapping[str, str]) -> Service:
    address = environ.get("REEV_LOCAL_URL") or "http://localhost:1234/v1"
    key, variable = environ.get("REEV_LOCAL_API_KEY", ""), "REEV_LOCAL_API_KEY"
    return Service(environ.get("REEV_LOCAL_MODEL", ""), "local", address, key, variable)


SERVICES = {"glm-4.6": _zai, "glm-4.6-coding": _zai_coding, "local": _local}
