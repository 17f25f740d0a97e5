"""What is looked at next: news first, second looks in their time, nothing twice, nobody starved."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reevd.agenda import BESIDE, FAIRNESS, Agenda, Batch

NOTHING = Batch([], frozenset(), [])


def test_news_come_in_their_order_and_once() -> None:
    agenda = Agenda()
    agenda.add(["b", "a", "b"])
    agenda.add(["a", "c"])
    assert agenda.next_at() == 0
    assert agenda.take(0, 10).news == ["b", "a", "c"]
    assert agenda.next_at() is None


def test_a_second_look_comes_when_it_is_due_and_the_earliest_time_stands() -> None:
    agenda = Agenda()
    agenda.add_later("a", 50)
    agenda.add_later("a", 20)
    agenda.add_later("a", 90)
    assert agenda.next_at() == 20
    assert agenda.take(19, 10) == NOTHING
    assert agenda.take(20, 10).second == ["a"]
    assert agenda.next_at() is None


def test_a_look_at_news_takes_the_place_of_the_second_one() -> None:
    agenda = Agenda()
    agenda.add_later("a", 10)
    agenda.add(["a"])
    assert agenda.take(0, 10).news == ["a"]
    assert len(agenda) == 0
    assert agenda.take(10, 10) == NOTHING


def test_news_and_second_looks_take_turns() -> None:
    """Neither waits for the whole of the other: a storm of one, or a heap of the other."""
    agenda, most = Agenda(), 4 * FAIRNESS
    for number in range(100):
        agenda.add_later(f"old-{number}", 0)
    taken = []
    while any(name.startswith("old") for name in agenda._at):
        agenda.add([f"new-{len(taken)}-{number}" for number in range(2 * most)])
        taken.append(agenda.take(1, most).ids)
    sizes = [(names[0].partition("-")[0], len(names)) for names in taken]
    assert sizes[:4] == [("new", most), ("old", most // FAIRNESS)] * 2
    assert all(len({name.partition("-")[0] for name in names}) == 1 for names in taken)


def test_news_go_before_a_second_look_that_has_not_waited_for_others() -> None:
    agenda = Agenda()
    agenda.add(["before"])
    assert agenda.take(0, 8).news == ["before"]
    agenda.add_later("old", 10)
    agenda.add(["new"])
    assert [agenda.take(10, 8).ids, agenda.take(10, 8).ids] == [["new"], ["old"]]


def test_thousands_that_are_urgent_come_in_turn_and_keep_nobody_waiting() -> None:
    """Each is put in again and again, before all of them had their turn: of live runs, twice a second."""
    agenda, urgent, now = Agenda(), [f"live-{number:04}" for number in range(5000)], 0
    agenda.add_later("old", 1)
    taken = Counter[str]()
    while len(taken) <= len(urgent):
        now += 1
        if now % 50 == 1:
            for execution_id in urgent:
                agenda.add_later(execution_id, 0)
        taken.update(agenda.take(now, 512).second)
        assert taken["old"] or now < 10, "who waited for a time comes all the same"
        assert now < 1000, "somebody never comes"
    assert max(taken.values()) <= 2


def test_where_much_waits_second_looks_come_beside_the_news() -> None:
    agenda, most = Agenda(), 4 * BESIDE
    for number in range(100):
        agenda.add_later(f"old-{number}", 0)
    agenda.add([f"new-{number}" for number in range(most + 1)])
    taken = agenda.take_many(1, most)
    assert (len(taken.news), len(taken.second), taken.alone) == (most, most // BESIDE, frozenset())
    assert agenda.take_many(1, most).news == [f"new-{most}"]


def test_a_session_file_alone_is_news_of_itself_alone() -> None:
    agenda = Agenda()
    agenda.add(["telemetry"], ["alone", "both", "telemetry"])
    agenda.add(["both"])
    agenda.add((), ["both"])
    assert agenda.fresh == 3
    taken = agenda.take_many(0, 10)
    assert set(taken.news) == {"alone", "both", "telemetry"}
    assert taken.alone == {"alone"}
    agenda.add((), ["both"])
    assert agenda.take_many(0, 10).alone == {"both"}, "what was taken before is over"


def test_who_waits_for_a_second_look_is_not_looked_at_by_halves() -> None:
    """It may be its telemetry that could not be read: a look at the session file must not take the place of that."""
    agenda = Agenda()
    agenda.add_later("a", 50)
    agenda.add((), ["a"])
    assert agenda.take_many(0, 10) == Batch(["a"], frozenset(), [])
    agenda.add((), ["a"])
    agenda.add_later("a", 50)
    assert agenda.take_many(0, 10) == Batch(["a"], frozenset(), [])


def test_who_is_in_both_is_looked_at_once() -> None:
    for now in (0, 10):
        agenda = Agenda()
        agenda.add_later("a", 10)
        agenda.add(["a", "b"])
        taken = agenda.take(now, 8), agenda.take(now, 8)
        assert sorted(name for batch in taken for name in batch.ids) == ["a", "b"]
        assert len(agenda) == 0


class Machine(RuleBasedStateMachine):
    """Nothing that was added is ever forgotten or taken before its time."""

    def __init__(self) -> None:
        super().__init__()
        self.agenda, self.now = Agenda(), 0
        self.due: dict[str, int] = {}

    @rule(names=st.lists(st.sampled_from("abcdef"), max_size=4))
    def news(self, names: list[str]) -> None:
        self.agenda.add(names)
        self.due.update(dict.fromkeys(names, 0))

    @rule(name=st.sampled_from("abcdef"), wait=st.integers(0, 20))
    def later(self, name: str, wait: int) -> None:
        self.agenda.add_later(name, self.now + wait)
        self.due[name] = min(self.due.get(name, self.now + wait), self.now + wait)

    @rule(passed=st.integers(0, 10))
    def time_goes_on(self, passed: int) -> None:
        self.now += passed

    @rule(names=st.lists(st.sampled_from("abcdef"), max_size=4))
    def sessions(self, names: list[str]) -> None:
        self.agenda.add((), names)
        self.due.update(dict.fromkeys(names, 0))

    @rule(most=st.integers(16, 40))
    def taken_many(self, most: int) -> None:
        news, alone, second = self.agenda.take_many(self.now, most)
        assert len({*news, *second}) == len(news) + len(second)
        assert alone <= set(news)
        assert {*news, *second} <= {name for name, at in self.due.items() if at <= self.now}
        for name in (*news, *second):
            del self.due[name]

    @rule(most=st.integers(16, 40))
    def taken(self, most: int) -> None:
        expected = {name for name, at in self.due.items() if at <= self.now}
        batch = self.agenda.take(self.now, most)
        assert not batch.news or not batch.second, "news would wait for the sync of second looks"
        assert batch.alone <= set(batch.news)
        taken = batch.ids
        assert len(taken) == len(set(taken))
        assert set(taken) <= expected
        for name in taken:
            del self.due[name]

    @invariant()
    def the_next_time_is_known(self) -> None:
        assert self.agenda.next_at() == (min(self.due.values()) if self.due else None) or 0 in self.due.values()


Machine.TestCase.settings = settings(deadline=None, derandomize=True, database=None, max_examples=60)
TestMachine = Machine.TestCase
