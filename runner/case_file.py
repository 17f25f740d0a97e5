"""Case files: a benchmark's YAML, checked against the schema and against itself, to a Case."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from runner import base58
from runner.case import (
    NEEDS,
    Assertion,
    Case,
    Derivation,
    ExpectedAccount,
    ExpectedInstruction,
    GroundTruth,
    InitialAccount,
    Name,
    Need,
    SolBalance,
    SolBalanceChange,
    TokenAccountBalance,
    TransactionStatus,
    is_placeholder,
)
from runner.errors import UsageError
from runner.flow_file import call, criterion, flow_of, step_number
from runner.instruction import TOKEN_PROGRAM
from runner.plain_file import read
from runner.token_program import TokenAccount
from runner.yaml_node import MAX_BYTES, U64_MAX, Node, compose

CASE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MOST_WEIGHT = 100_000.0
"""Of a part of the score: all that one file can hold add up to a number."""


def load(path: Path, ids: dict[str, Path] | None = None) -> Case:
    """Raises CaseError with file, line and field where the YAML is not valid, UsageError where it cannot be read.

    ids: of the cases that were loaded before it, with their files; no two files may hold the same
    """
    try:
        raw = read(path, MAX_BYTES)
    except OSError as error:
        raise UsageError("opening the benchmark", str(path), error.strerror, "check its path and its mode") from None
    return parse(raw, str(path), ids)


def parse(raw: bytes, file: str, ids: dict[str, Path] | None = None) -> Case:
    return _Reader({} if ids is None else ids).case(compose(raw, file))


@dataclass
class _Reader:
    """`declared` holds the names with a meaning so far: another placeholder is a slip. `placed` have an account.

    derived: what each name is derived from, and where that stands
    """

    ids: dict[str, Path]
    declared: set[Name] = field(default_factory=set)
    placed: set[Name] = field(default_factory=set)
    supplies: Counter[Name] = field(default_factory=Counter)
    derived: list[tuple[Name, Derivation, dict[str, Node]]] = field(default_factory=list)

    def case(self, node: Node) -> Case:
        parts = node.fields("id initial_state prompt ground_truth", "description tags flow needs")
        identity = self.identity(parts["id"])
        initial = tuple(self.initial_account(item) for item in parts["initial_state"].items())
        if not initial:
            parts["initial_state"].fail("it must hold at least the account that pays")
        flow = flow_of(parts["flow"]) if "flow" in parts else ()
        case = Case(
            id=identity,
            description=parts["description"].text() if "description" in parts else "",
            tags=tuple(tag.text() for tag in parts["tags"].items()) if "tags" in parts else (),
            initial_state=initial,
            prompt=parts["prompt"].text(),
            flow=flow,
            ground_truth=self.ground_truth(parts["ground_truth"], {step.step for step in flow}),
            needs=tuple(cast(Need, n.choice(*NEEDS)) for n in parts["needs"].items()) if "needs" in parts else (),
        )
        self.check_derivations()
        return case

    def identity(self, node: Node) -> str:
        value = node.text()
        if not CASE_ID.fullmatch(value):
            node.fail(f"{value[:40]!r} may hold letters, digits, '.', '_' and '-' only")
        file = Path(node.file).resolve()
        other = self.ids.setdefault(value, file)
        return value if other == file else node.fail(f"{value} is the id of {other} already")

    def check_derivations(self) -> None:
        first: dict[Name, Derivation] = {}
        for name, derivation, parts in self.derived:
            if first.setdefault(name, derivation) != derivation:
                parts["owner"].fail(f"{name} is derived from one wallet and mint here, and from others there")
        for name, derivation, parts in self.derived:
            for key in ("owner", "mint"):
                if getattr(derivation, key) in first:
                    parts[key].fail(f"{name} is derived from a token account; it must be from a wallet and a mint")

    def name(self, node: Node, *, declares: bool = False) -> Name:
        value = node.text()
        if base58.is_address(value):
            return value
        if not is_placeholder(value):
            node.fail(f"{value[:60]!r} is neither an address in base58 nor a placeholder such as USER_WALLET_PUBKEY")
        if declares:
            self.declared.add(value)
        elif value not in self.declared:
            node.fail(f"{value} is not in initial_state and no assertion derives its address")
        return value

    def address(self, node: Node) -> str:
        value = node.text()
        if not base58.is_address(value):
            node.fail(f"{value[:60]!r} is no address in base58")
        return value

    def initial_account(self, node: Node) -> InitialAccount:
        parts = node.fields("pubkey owner lamports", "data")
        pubkey = self.name(parts["pubkey"], declares=True)
        if pubkey in self.placed:
            parts["pubkey"].fail(f"{pubkey} stands in initial_state twice")
        self.placed.add(pubkey)
        owner = self.address(parts["owner"])
        token = None
        if "data" in parts:
            if owner != TOKEN_PROGRAM:
                parts["data"].fail(f"only an account of the token program ({TOKEN_PROGRAM}) has mint, owner, amount")
            token = self.token_account(pubkey, parts["data"])
        elif owner == TOKEN_PROGRAM:
            node.fail("data is missing: an account of the token program has mint, owner and amount")
        return InitialAccount(pubkey, owner, parts["lamports"].integer(), token)

    def token_account(self, pubkey: Name, node: Node) -> TokenAccount:
        parts = node.fields("mint owner amount")
        amount = parts["amount"].text()
        if not (amount.isascii() and amount.isdecimal()) or len(amount) > 20 or int(amount) > U64_MAX:
            parts["amount"].fail(f'{amount[:40]!r} is no amount: digits in quotes, such as "50000000"')
        mint, owner = (self.name(parts[key], declares=True) for key in ("mint", "owner"))
        self.supplies[mint] += int(amount)
        if self.supplies[mint] > U64_MAX:
            parts["amount"].fail(f"the accounts of the mint {mint} hold more than {U64_MAX} in all: no mint can")
        self.derived.append((pubkey, Derivation(owner, mint), parts))
        return TokenAccount(mint, owner, int(amount))

    def ground_truth(self, node: Node, steps: set[int]) -> GroundTruth:
        parts = node.fields(
            "final_state_assertions",
            "transaction_status expected_instructions skip_instruction_validation min_score success_criteria"
            " tool_calls",
        )
        assertions = tuple(self.assertion(item) for item in parts["final_state_assertions"].items())
        expected = parts["expected_instructions"].items() if "expected_instructions" in parts else ()
        criteria = parts["success_criteria"].items() if "success_criteria" in parts else ()
        skip = parts.get("skip_instruction_validation")
        status = parts.get("transaction_status")
        return GroundTruth(
            transaction_status=cast(
                TransactionStatus, status.choice("Success", "Failure", "None") if status else "Success"
            ),
            assertions=assertions,
            instructions=tuple(self.instruction(item, steps) for item in expected),
            skip_instruction_validation=skip.boolean() if skip else False,
            min_score=parts["min_score"].number(0, 1) if "min_score" in parts else None,
            success_criteria=tuple(criterion(item, len(steps) or 1) for item in criteria),
            tool_calls=tuple(call(item, steps, self.declared) for item in parts["tool_calls"].items())
            if "tool_calls" in parts
            else (),
        )

    def assertion(self, node: Node) -> Assertion:
        kinds = {
            "SolBalance": ("type pubkey expected", "weight"),
            "SolBalanceChange": ("type pubkey expected_change_gte", "weight"),
            "TokenAccountBalance": ("type pubkey", "expected expected_gte address_derivation weight"),
        }
        every = " ".join(f"{required} {optional}" for required, optional in kinds.values())
        kind = node.fields("type", every)["type"].choice(*kinds)
        parts = node.fields(*kinds[kind])
        weight = _weight(parts, "weight")
        if kind == "SolBalance":
            return SolBalance(self.name(parts["pubkey"]), parts["expected"].integer(), weight)
        if kind == "SolBalanceChange":
            change = parts["expected_change_gte"].integer(least=-U64_MAX)
            return SolBalanceChange(self.name(parts["pubkey"]), change, weight)
        if ("expected" in parts) == ("expected_gte" in parts):
            node.fail("exactly one of expected and expected_gte must stand here")
        derived = parts.get("address_derivation")
        pubkey = self.name(parts["pubkey"], declares=derived is not None)
        return TokenAccountBalance(
            pubkey=pubkey,
            expected=parts["expected"].integer() if "expected" in parts else None,
            expected_gte=parts["expected_gte"].integer() if "expected_gte" in parts else None,
            derivation=self.derivation(pubkey, derived) if derived else None,
            weight=weight,
        )

    def derivation(self, pubkey: Name, node: Node) -> Derivation:
        parts = node.fields("type owner mint")
        parts["type"].choice("AssociatedTokenAccount")
        made = Derivation(self.name(parts["owner"]), self.name(parts["mint"]))
        self.derived.append((pubkey, made, parts))
        return made

    def instruction(self, node: Node, steps: set[int]) -> ExpectedInstruction:
        parts = node.fields("program_id accounts", "program_id_weight data data_weight step")
        given = parts["data"].text() if "data" in parts else "..."
        try:
            data = None if given == "..." else base58.decode(given)
        except ValueError as error:
            parts["data"].fail(f"{error}")
        return ExpectedInstruction(
            program_id=self.address(parts["program_id"]),
            program_id_weight=_weight(parts, "program_id_weight"),
            accounts=tuple(self.expected_account(item) for item in parts["accounts"].items()),
            data=data,
            data_weight=parts["data_weight"].number(0, MOST_WEIGHT) if "data_weight" in parts else None,
            step=step_number(parts, steps),
        )

    def expected_account(self, node: Node) -> ExpectedAccount:
        parts = node.fields("pubkey is_signer is_writable", "weight")
        signer, writable = parts["is_signer"].boolean(), parts["is_writable"].boolean()
        return ExpectedAccount(self.name(parts["pubkey"]), signer, writable, _weight(parts, "weight"))


def _weight(parts: dict[str, Node], key: str) -> float:
    return parts[key].number(0, MOST_WEIGHT) if key in parts else 1.0
