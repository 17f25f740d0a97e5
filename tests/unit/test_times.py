"""Writers' times, in all the forms that they come in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reevd.times import LATEST, from_rfc3339, rfc3339, to_micros

AT = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        ("2026-01-01T00:00:00Z", AT),
        ("2026-01-01T00:00:00.000000Z", AT),
        ("2026-01-01T00:00:00.123Z", AT + 123_000),
        ("2026-01-01T00:00:00.123456789Z", AT + 123_456),
        ("2026-01-01T02:30:00+02:30", AT),
        ("2025-12-31T19:00:00.000000-05:00", AT),
        ("2026-01-01T00:00:00", AT),
        ("2026-01-01 00:00:00", AT),
        (1_767_225_600, AT),
        (1_767_225_600.5, AT + 500_000),
        (1_767_225_600_000, AT),
        (1_767_225_600_000_000, AT),
        (0, 0),
    ],
)
def test_what_is_a_time(value: object, micros: int) -> None:
    assert to_micros(value) == micros


@pytest.mark.parametrize(
    "value",
    [
        None, True, "", "now", "2026-13-01T00:00:00.000000Z", "2026-01-01T25:00:00.000000Z", [], {}, -1, -0.5, 1e30,
        "2026-01-01T00:00:00.12345xZ", f"2026-01-01T00:00:00.{chr(0x660) * 6}Z", "1969-12-31T23:59:59.000000Z",
        float("nan"), float("inf"), 10**400,
    ],
)  # fmt: skip
def test_what_is_none(value: object) -> None:
    assert to_micros(value) is None


@settings(deadline=None, derandomize=True, database=None)
@given(st.integers(0, LATEST))
def test_our_own_form_comes_back_as_it_was(micros: int) -> None:
    text = rfc3339(micros)
    assert len(text) == 27
    assert from_rfc3339(text) == micros
    # As text they sort as they do in time: the database compares them so.
    assert (text < rfc3339(AT)) == (micros < AT)
