"""When the folder is scanned: at once where there is time, and not again and again while a burst loses events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reevd.agenda import Agenda
from reevd.files import Folder
from reevd.store import Store
from reevd.survey import Survey
from reevd.times import SECOND

NOW = 1_790_000_000 * SECOND


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Folder, Store]]:
    (tmp_path / "sessions").mkdir()
    for name in ("session_a.json", "session_b.json", "otel_b.jsonl", "enhanced_otel_c.jsonl"):
        (tmp_path / "sessions" / name).touch()
    folder, store = Folder(str(tmp_path / "sessions")), Store(str(tmp_path / "db"))
    yield folder, store
    store.close()
    folder.close()


def scanned(survey: Survey, place: tuple[Folder, Store], now: int, agenda: Agenda, *, busy: bool) -> bool:
    """Whether a scan was begun, which then is brought to its end."""
    survey.step(*place, agenda, now, busy=busy, enough=lambda: True)
    if not survey.under_way:
        return False
    while survey.step(*place, agenda, now, busy=busy, enough=lambda: True) is None:
        pass
    survey.end(now)
    return True


def test_it_is_scanned_at_once_where_there_is_time(place: tuple[Folder, Store]) -> None:
    survey, agenda = Survey(), Agenda()
    assert scanned(survey, place, NOW, agenda, busy=False)
    assert not scanned(survey, place, NOW + SECOND, agenda, busy=False), "once is enough"


def test_in_a_burst_it_is_put_off_but_not_for_long(place: tuple[Folder, Store]) -> None:
    survey, agenda = Survey(), Agenda()
    assert not scanned(survey, place, NOW, agenda, busy=True)
    assert not scanned(survey, place, NOW + SECOND - 1, agenda, busy=True)
    assert scanned(survey, place, NOW + SECOND, agenda, busy=True)
    survey.wanted = True
    assert not scanned(survey, place, NOW + 2 * SECOND, agenda, busy=True), "the time begins anew"
    assert scanned(survey, place, NOW + 2 * SECOND + 1, agenda, busy=False), "and ends with the burst"


def test_it_tells_of_which_executions_the_session_file_alone_was_met(place: tuple[Folder, Store]) -> None:
    agenda = Agenda()
    scanned(Survey(), place, NOW, agenda, busy=False)
    found = agenda.take_many(NOW, 10)
    assert (set(found.news), found.alone) == ({"a", "b", "c"}, {"a"})
