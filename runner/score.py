"""The score of a run: what was expected against what was done. Pure.

score = 0.75 x instructions + 0.25 x on-chain
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

from runner import base58
from runner.case import (
    Assertion,
    ExpectedInstruction,
    GroundTruth,
    Name,
    SolBalance,
    SolBalanceChange,
)
from runner.instruction import Instruction

INSTRUCTIONS_SHARE, ONCHAIN_SHARE = 0.75, 0.25


class Part(NamedTuple):
    """One thing that was judged. `got` is None where nothing stands at its place."""

    what: str
    expected: Any
    got: Any
    weight: float
    matched: bool


@dataclass(frozen=True, slots=True)
class Score:
    """`instructions` and `onchain` lie between 0 and 1; `parts` are the judged ones, in the order of the case."""

    instructions: float
    onchain: float
    parts: tuple[Part, ...]

    @property
    def value(self) -> float:
        # Rounded so that 0.75 + 0.25 x 1 is the number a person would write.
        return round(min(max(INSTRUCTIONS_SHARE * self.instructions + ONCHAIN_SHARE * self.onchain, 0.0), 1.0), 12)

    def to_json(self) -> dict[str, Any]:
        parts = [part._asdict() for part in self.parts]
        return {"instructions": self.instructions, "onchain": self.onchain, "parts": parts}


def score(truth: GroundTruth, done: Sequence[Instruction], *, succeeded: bool, address: Callable[[Name], str]) -> Score:
    """`done` are all instructions that the agent proposed; `succeeded` tells of the last transaction."""
    onchain = float(succeeded)
    if truth.skip_instruction_validation:
        return Score(onchain, onchain, ())
    parts: list[Part] = []
    for index, expected in enumerate(truth.instructions):
        got = done[index] if index < len(done) else None
        parts += _parts(f"instructions[{index}]", expected, got, address)
    total = sum(part.weight for part in parts)
    matched = sum(part.weight for part in parts if part.matched)
    return Score(matched / total if total else 1.0, onchain, tuple(parts))


def _parts(
    where: str, expected: ExpectedInstruction, got: Instruction | None, address: Callable[[Name], str]
) -> list[Part]:
    program = got.program_id if got else None
    wanted = expected.program_id
    parts = [Part(f"{where}.program_id", wanted, program, expected.program_id_weight, program == wanted)]
    metas = got.accounts[: len(expected.accounts)] if got else ()
    for index, (account, meta) in enumerate(zip_longest(expected.accounts, metas)):
        key = _meta_json(address(account.pubkey), account.is_signer, account.is_writable)
        actual = _meta_json(meta.pubkey, meta.is_signer, meta.is_writable) if meta else None
        parts.append(Part(f"{where}.accounts[{index}]", key, actual, account.weight, actual == key))
    if expected.data is not None and expected.data_weight is not None:
        actual_data = base58.encode(got.data) if got else None
        wanted_data = base58.encode(expected.data)
        parts.append(Part(f"{where}.data", wanted_data, actual_data, expected.data_weight, actual_data == wanted_data))
    return parts


def _meta_json(pubkey: str, is_signer: bool, is_writable: bool) -> dict[str, Any]:
    return {"pubkey": pubkey, "is_signer": is_signer, "is_writable": is_writable}


@dataclass(frozen=True, slots=True)
class Balances:
    """What the chain holds at an address: lamports before and after, tokens after (None: none can be)."""

    lamports_before: int
    lamports: int
    tokens: int | None


class Verdict(NamedTuple):
    """An assertion held against the chain. `expected` is a number, or a bound such as `>= 5`."""

    type: str
    pubkey: Name
    expected: int | str
    actual: int | None
    passed: bool
    weight: float

    def to_json(self) -> dict[str, Any]:
        return self._asdict()


def verify(assertion: Assertion, balances: Balances) -> Verdict:
    kind, pubkey, weight = type(assertion).__name__, assertion.pubkey, assertion.weight
    expected: int | str
    actual: int | None
    match assertion:
        case SolBalance():
            expected, actual = assertion.expected, balances.lamports
            passed = actual == expected
        case SolBalanceChange():
            actual = balances.lamports - balances.lamports_before
            expected, passed = f">= {assertion.expected_change_gte}", actual >= assertion.expected_change_gte
        case _ if assertion.expected is not None:
            expected, actual = assertion.expected, balances.tokens
            passed = actual == expected
        case _:
            least = assertion.expected_gte or 0
            expected, actual = f">= {least}", balances.tokens
            passed = actual is not None and actual >= least
    return Verdict(kind, pubkey, expected, actual, passed, weight)
