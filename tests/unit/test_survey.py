"""When the folder is scanned: at once where there is time, and not again and again while a burst loses events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from reevd import files
from reevd.agenda import Agenda
from reevd.bounds import DEFAULT_BOUNDS
from reevd.change import Change
from reevd.clock import Clock
from reevd.derive import DEFAULT_LIMITS
from reevd.files import Folder
from reevd.look import look
from reevd.reader import Reader
from reevd.rescan import TICK_NS
from reevd.store import Store
from reevd.survey import Survey
from reevd.times import SECOND
from tests.harness import session

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
    survey.step(*place, agenda, now, busy=busy, clock=lambda: now, until=now)
    if not survey.under_way:
        return False
    while survey.step(*place, agenda, now, busy=busy, clock=lambda: now, until=now) is None:
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


def test_a_halt_between_two_steps_does_not_put_off_the_next_scan(place: tuple[Folder, Store]) -> None:
    survey, agenda, later = Survey(), Agenda(), NOW + 60 * SECOND
    begun, gone_on = count(NOW), count(later)
    survey.step(*place, agenda, NOW, busy=False, clock=lambda: next(begun), until=NOW)
    while survey.step(*place, agenda, later, busy=False, clock=lambda: next(gone_on), until=later) is None:
        pass
    survey.end(later)
    assert 0 < survey.last.took < 10 * SECOND
    survey.tick(later + 59 * SECOND, 60 * SECOND)
    assert not survey.wanted
    survey.tick(later + 60 * SECOND, 60 * SECOND)
    assert scanned(survey, place, later + 60 * SECOND, agenda, busy=False), "the timer goes by the time that it took"
    survey.wanted = True
    assert scanned(survey, place, later + 70 * SECOND, agenda, busy=False)


def test_it_tells_of_which_executions_the_session_file_alone_was_met(place: tuple[Folder, Store]) -> None:
    agenda = Agenda()
    scanned(Survey(), place, NOW, agenda, busy=False)
    found = agenda.take_many(NOW, 10)
    assert (set(found.news), found.alone) == ({"a", "b", "c"}, {"a"})


def looked_at(folder: Folder, *execution_ids: str) -> list[Change]:
    """What first looks find at session files that are to be read once more."""
    for execution_id in execution_ids:
        (Path(folder.path) / f"session_{execution_id}.json").write_text(json.dumps(session(execution_id)))
    stamp = Clock().stamp()
    return look(
        Reader(folder, DEFAULT_BOUNDS), execution_ids, NOW, stamp, limits=DEFAULT_LIMITS, may_judge=False
    ).changes


def test_who_was_read_while_it_scanned_is_no_news(place: tuple[Folder, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = place
    monkeypatch.setattr(files, "PART", 1)
    survey, agenda = Survey(), Agenda()
    survey.step(*place, agenda, NOW, busy=False, clock=lambda: NOW, until=NOW)
    met = agenda.take_many(NOW, 10).news
    changed, same = ("a", "b") if "b" in met else ("b", "a")
    store.reconcile(looked_at(folder, "a", "b"), "now")
    for name in "ab":
        agenda.add_later(name, NOW + SECOND)
    (Path(folder.path) / f"session_{changed}.json").write_bytes(b"another content than was read")
    while survey.step(*place, agenda, NOW, busy=False, clock=lambda: NOW, until=NOW) is None:
        pass
    found = agenda.take_many(NOW, 10).news
    assert same not in found, "it was read, and will be read again"
    assert changed in found, "it is another one than was read"


def test_who_is_looked_at_just_now_is_no_news_unless_it_changed_since(place: tuple[Folder, Store]) -> None:
    folder, _ = place
    found = {name: folder.fingerprint(f"session_{name}.json") for name in "ab"}
    asked = {
        name: f.ctime_ns + late for (name, f), late in zip(found.items(), (TICK_NS + 1, TICK_NS), strict=True) if f
    }
    asked["c"] = Clock().stamp() + SECOND  # it has telemetry, which that look may not know of
    agenda, survey = Agenda(), Survey()
    (Path(folder.path) / "otel_b.jsonl").unlink()
    while survey.step(*place, agenda, NOW, busy=False, asked=lambda: asked, clock=lambda: NOW, until=NOW + 1) is None:
        pass
    assert set(agenda.take_many(NOW, 10).news) == {"b", "c"}
