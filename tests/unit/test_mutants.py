"""Every deliberate break finds the text that it breaks: else none of them is tried."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import broken
from tests.mutants.catalogue import MUTANTS, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_it_still_finds_its_text(mutant: Mutant) -> None:
    assert mutant.new in broken(mutant)
