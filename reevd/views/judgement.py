"""How the score came about, as a branch of a tree: its shares, and what was not as the case expects. Pure.

Source: `metadata.score` and `metadata.assertions`, which our runner writes; other writers have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reevd.views.accounts import Accounts
from reevd.views.instruction import instructions
from reevd.views.meaning import meaning
from reevd.views.steps import Step
from reevd.views.text import line, percent
from reevd.views.tree import Branch, some

MOST = 100


def judgement(execution: Mapping[str, Any], steps: list[Step]) -> Iterator[Branch]:
    """One branch, or none where nothing was judged."""
    metadata = execution.get("metadata")
    told = metadata if isinstance(metadata, dict) else {}
    score = told["score"] if isinstance(told.get("score"), dict) else {}
    shares = [
        f"{name} {percent(score[field])}"
        for field, name in (("instructions", "instructions"), ("onchain", "on-chain"))
        if percent(score.get(field))
    ]
    misses = [*_parts(score.get("parts"), steps), *_assertions(told.get("assertions"))]
    if shares or misses:
        yield Branch(f"score: {', '.join(shares) or 'not told'}", some(iter(misses), MOST, "differences"))


def _parts(value: object, steps: list[Step]) -> Iterator[Branch]:
    """What of the expected instructions was not done."""
    accounts = steps[-1].accounts if steps else Accounts()
    programs: dict[str, object] = {}
    for part in value if isinstance(value, list) else ():
        if not isinstance(part, dict):
            continue
        what = line(part.get("what"), 100)
        programs[what] = part.get("expected")
        if part.get("matched") is False:
            program = programs.get(what.replace(".data", ".program_id")) if what.endswith(".data") else None
            expected, got = (_wanted(part.get(side), program, accounts) for side in ("expected", "got"))
            yield Branch(f"✘ {what}: {got}, expected {expected}")


def _wanted(value: object, program: object, accounts: Accounts) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict) and isinstance(value.get("pubkey"), str):
        flags = [word for field, word in (("is_signer", "signer"), ("is_writable", "writable")) if value.get(field)]
        return " ".join([accounts.name(value["pubkey"]), f"({', '.join(flags)})" if flags else "(read only)"])
    if isinstance(value, str) and isinstance(program, str):
        found = instructions({"program_id": program, "data": value})
        does = meaning(found[0], accounts) if found else None
        return f"{line(value, 100)}{f' ({does.name})' if does else ''}"
    return accounts.name(value) if isinstance(value, str) else line(value, 100)


def _assertions(value: object) -> Iterator[Branch]:
    """What of the chain's state was not as the case asserts."""
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict) and one.get("passed") is False:
            of = " ".join(line(one[name], 60) for name in ("type", "pubkey") if one.get(name) is not None)
            yield Branch(f"✘ {of}: {line(one.get('actual'), 60)}, expected {line(one.get('expected'), 60)}")
