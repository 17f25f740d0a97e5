"""The tools that an agent acts with. Each is a module of its own: typed parameters, and what it answers.

A tool changes nothing: it looks at the chain, or answers with the instructions that the run is to execute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, TypeVar

from runner.chain import Chain
from runner.instruction import Instruction
from runner.keys import Keys

NAMES = (
    "sol_transfer",
    "spl_transfer",
    "get_account_balance",
    "jupiter_swap",
    "jupiter_lend_earn_deposit",
    "jupiter_lend_earn_withdraw",
    "jupiter_lend_earn_mint",
    "jupiter_lend_earn_redeem",
    "get_jupiter_lend_earn_position",
    "get_jupiter_lend_earn_tokens",
)

P = TypeVar("P")


class ToolError(Exception):
    """A call that the tool refuses. The message goes back to the agent, which may try again."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a tool works with."""

    chain: Chain
    keys: Keys


@dataclass(frozen=True, slots=True)
class Answer:
    """`result` is JSON for the agent; `instructions` are what the agent may have executed."""

    result: Any
    instructions: tuple[Instruction, ...] = ()

    @classmethod
    def of(cls, *instructions: Instruction) -> Answer:
        return cls([each.to_json() for each in instructions], instructions)


@dataclass(frozen=True, slots=True)
class Tool(Generic[P]):
    """`parameters` is a frozen dataclass; `call` gets one with every key resolved to an address."""

    name: str
    description: str
    parameters: type[P]
    call: Callable[[P, Bench], Answer]


class Tools(Mapping[str, Tool[Any]]):
    """The tools by name. Each lives in `runner.tools.<name>` as TOOL, and is loaded once it is wanted."""

    def __init__(self, names: Iterable[str] = NAMES) -> None:
        self._names = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Tool[Any]:
        if name not in self._names:
            raise KeyError(name)
        tool: Tool[Any] = import_module(f"runner.tools.{name}").TOOL
        return tool

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
