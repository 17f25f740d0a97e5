"""What a case must hold to be stored: every case of the checkout does, and the runner refuses what is refused here."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reevd import case, catalog
from runner.case_file import parse
from runner.errors import RunnerError
from tests.harness import ROOT

FILES = sorted((ROOT / "benchmarks").glob("*.yml"))
WRONG: tuple[Any, ...] = (None, 7, "x", [], {}, [7], True)


def mutilated(value: Any) -> Iterator[Any]:
    """Copies of a document: in each, one field or element is gone or holds something else."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        for other in WRONG:
            changed = copy.copy(value)
            changed[key] = other
            yield changed
        if isinstance(value, dict):
            yield {k: v for k, v in value.items() if k != key}
        if isinstance(value[key], dict | list):
            for inner in mutilated(value[key]):
                changed = copy.copy(value)
                changed[key] = inner
                yield changed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_cases_of_the_checkout_can_be_stored(path: Path, tmp_path: Path) -> None:
    assert catalog.put(str(tmp_path), path.read_text()).id == path.stem


@pytest.mark.parametrize("name", ["002-spl-transfer", "200-jup-swap-then-lend-deposit"])
def test_what_is_refused_here_the_runner_refuses_too(name: str) -> None:
    document = yaml.safe_load((ROOT / "benchmarks" / f"{name}.yml").read_text())
    assert case.fault(document) is None
    refused = [changed for changed in mutilated(document) if case.fault(changed)]
    assert len(refused) > 100
    for changed in refused:
        with pytest.raises(RunnerError):
            parse(yaml.safe_dump(changed).encode(), "case")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("initial_state:", "state:", "line 1: field initial_state: it is missing"),
        ("lamports: 0", "lamports: none", "line 13: field initial_state[1].lamports: it is not a whole number"),
        ("prompt:", "prompts:", "line 1: field prompt: it is missing"),
        ("ground_truth:", "truth:", "line 1: field ground_truth: it is missing"),
        (
            "type: SolBalance\n",
            "type: Balance\n",
            "field ground_truth.final_state_assertions[0].type: it is not one of",
        ),
        ("program_id:", "program:", "field ground_truth.expected_instructions[0].program_id: it is missing"),
    ],
)
def test_what_is_wrong_has_a_line_and_a_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = (ROOT / "benchmarks" / "001-sol-transfer.yml").read_text()
    assert old in text
    with pytest.raises(ValueError, match=r"^line [0-9]+: field ") as refused:
        catalog.put(str(tmp_path), text.replace(old, new, 1))
    assert words in str(refused.value)
    assert not list(tmp_path.iterdir())
