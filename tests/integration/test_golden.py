"""What people read of each fixture, word for word: fixtures/golden/. `python -m tests.record_golden` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.record_golden import GOLDEN, told
from tests.unit.test_fixtures import CASES


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return told(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_a_fixture_reads_as_it_did(case: Path, texts: dict[str, str]) -> None:
    assert texts[case.name] == (GOLDEN / f"{case.name}.txt").read_text()


def test_no_golden_text_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {case.name for case in CASES}
