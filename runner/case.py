"""A benchmark case: what a YAML of `benchmarks/` says, as records.

A `Name` is a placeholder such as `USER_WALLET_PUBKEY`, which becomes an address when the case runs, or an
address in base58, which stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from runner import base58
from runner.token_program import TokenAccount

Name = str
TransactionStatus = Literal["Success", "Failure", "None"]
Need = Literal["mainnet", "jupiter"]
NEEDS: tuple[Need, ...] = ("mainnet", "jupiter")
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def is_placeholder(name: Name) -> bool:
    return bool(PLACEHOLDER.fullmatch(name)) and not base58.is_address(name)


@dataclass(frozen=True, slots=True)
class InitialAccount:
    """An account as it stands before the run. `owner` is a program's address; `token` holds names, not addresses."""

    pubkey: Name
    owner: str
    lamports: int
    token: TokenAccount | None


@dataclass(frozen=True, slots=True)
class Derivation:
    """The associated token account of a wallet and a mint."""

    owner: Name
    mint: Name


@dataclass(frozen=True, slots=True)
class SolBalance:
    pubkey: Name
    expected: int
    weight: float


@dataclass(frozen=True, slots=True)
class SolBalanceChange:
    """The balance after the run less the one before it, in lamports, must be at least so much."""

    pubkey: Name
    expected_change_gte: int
    weight: float


@dataclass(frozen=True, slots=True)
class TokenAccountBalance:
    """Exactly one of `expected` and `expected_gte` is set; both count the mint's smallest unit."""

    pubkey: Name
    expected: int | None
    expected_gte: int | None
    derivation: Derivation | None
    weight: float


Assertion = SolBalance | SolBalanceChange | TokenAccountBalance


@dataclass(frozen=True, slots=True)
class ExpectedAccount:
    pubkey: Name
    is_signer: bool
    is_writable: bool
    weight: float


@dataclass(frozen=True, slots=True)
class ExpectedInstruction:
    """`data` is None where it is not given or `...`; it is judged where `data_weight` is set as well.

    step: of the flow; 0 in a case of a single prompt
    """

    program_id: str
    program_id_weight: float
    accounts: tuple[ExpectedAccount, ...]
    data: bytes | None
    data_weight: float | None
    step: int = 0


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """A call that solves the case, or its step, where no instruction tells which tool makes it. `params`: JSON."""

    tool_name: str
    params: Mapping[str, Any]
    step: int


@dataclass(frozen=True, slots=True)
class Criterion:
    """Of success: so many steps that came to what they should, or a successful call of that tool."""

    required: int | None
    tool_name: str | None


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One step of several. `timeout` is in seconds; `depends_on` names earlier steps."""

    step: int
    description: str
    prompt: str
    critical: bool
    timeout: float | None
    depends_on: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    transaction_status: TransactionStatus
    assertions: tuple[Assertion, ...]
    instructions: tuple[ExpectedInstruction, ...]
    skip_instruction_validation: bool
    min_score: float | None
    success_criteria: tuple[Criterion, ...]
    tool_calls: tuple[ExpectedCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    description: str
    tags: tuple[str, ...]
    initial_state: tuple[InitialAccount, ...]
    prompt: str
    flow: tuple[FlowStep, ...]
    ground_truth: GroundTruth
    needs: tuple[Need, ...] = ()

    @property
    def prompts(self) -> tuple[FlowStep, ...]:
        """The steps; a case of a single prompt is one of its own, numbered 0."""
        return self.flow or (FlowStep(0, self.description, self.prompt, True, None, ()),)

    @property
    def steps_total(self) -> int:
        return len(self.flow) or 1

    def derivations(self) -> dict[Name, Derivation]:
        """The names that stand for associated token accounts, in the order of the case."""
        found = {a.pubkey: Derivation(a.token.owner, a.token.mint) for a in self.initial_state if a.token}
        for assertion in self.ground_truth.assertions:
            if isinstance(assertion, TokenAccountBalance) and assertion.derivation:
                found.setdefault(assertion.pubkey, assertion.derivation)
        return found
