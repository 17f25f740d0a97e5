"""How many may be in at once: one user who takes all that he may leaves room for the others."""

from __future__ import annotations

from reevd.api.gate import Gate


def test_a_user_who_has_all_that_is_his_leaves_room_for_others() -> None:
    gate = Gate(2, 3, "listeners")
    assert [gate.enter(1), gate.enter(1)] == [None, None]
    assert gate.enter(1) == "user 1 has 2 listeners already"
    assert gate.enter(2) is None
    assert gate.enter(3) == "there are 3 listeners already"
    gate.leave(1)
    assert gate.enter(3) is None
