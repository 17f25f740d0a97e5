"""Following a telemetry file that grows, shrinks, is replaced: the same evidence as reading it whole, for less."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reevd.files import OPEN, OpenFile
from reevd.model import ToolCall
from reevd.otel_file import Telemetry
from reevd.tail import MOST_LINES, WINDOW, Tail

BUDGET = 1 << 21


def opened(path: Path) -> closing[OpenFile]:
    descriptor = os.open(path, OPEN)
    return closing(OpenFile(descriptor, os.fstat(descriptor)))


def look(tail: Tail, path: Path, *, last: bool = False, budget: int = BUDGET) -> int:
    """Follows the file until there is no more. Returns how many bytes that read."""
    got = 0
    for _ in range(1_000):
        with opened(path) as file:
            more = tail.follow(file, budget, last=last)
            got += file.taken
        if not more:
            return got
    raise AssertionError("there is always more")


def lines(first: int, count: int) -> bytes:
    """As many calls, each of its own name; all lines are equally long."""
    return b"".join(
        b'{"event_type":"ToolInput","tool_input":{"tool_name":"tool-%06d"}}\n' % number
        for number in range(first, first + count)
    )


def test_short_lines_are_read_in_parts(tmp_path: Path) -> None:
    """A million of them fit into what is read at once of long ones, and others wait meanwhile."""
    path, tail = tmp_path / "otel", Tail()
    path.write_bytes(b"\n" * 300_000 + b"{}\n" * 250_000 + lines(0, 10))
    with opened(path) as file:
        assert tail.follow(file, BUDGET, last=True)
    assert 0 < tail.telemetry.consumed <= MOST_LINES * 3
    look(tail, path, last=True)
    assert tail.telemetry.calls == whole(path.read_bytes(), rest=True)
    assert tail.telemetry.lines == 250_010


@pytest.mark.parametrize("long_first", [True, False])
def test_a_long_line_beside_many_short_ones_is_read(tmp_path: Path, long_first: bool) -> None:
    """A part of these that ends within the long line holds no whole one."""
    path, tail = tmp_path / "otel", Tail()
    long, short = b'{"event_type":"Prompt","prompt":"%s"}\n' % (b"x" * 600_000), b"\n" * 120_000
    path.write_bytes((long + short if long_first else short + long) + lines(0, 3))
    look(tail, path)
    assert tail.telemetry.calls == whole(path.read_bytes(), rest=False)
    assert len(tail.telemetry.calls) == 3


def whole(data: bytes, *, rest: bool = False) -> list[ToolCall]:
    """What the bytes say when they are read at once; `rest`: with what stands after the last newline."""
    telemetry = Telemetry()
    taken = telemetry.feed(data)
    if rest:
        telemetry.close(data[taken:])
    return telemetry.calls


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def in_place(path: Path, data: bytes) -> None:
    inode = path.stat().st_ino
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(data)
    assert path.stat().st_ino == inode


def renamed(path: Path, data: bytes) -> None:
    other = path.with_suffix(".tmp")
    other.write_bytes(data)
    other.rename(path)


def removed(path: Path, data: bytes) -> None:
    """Many file systems give the new file the inode of the old one."""
    path.unlink()
    path.write_bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "enhanced_otel_x.jsonl"
    made.write_bytes(b"")
    return made


def test_what_is_appended_is_read_once_its_line_is_whole(path: Path) -> None:
    tail, data = Tail(), lines(0, 300)
    for start in range(0, len(data), 997):
        append(path, data[start : start + 997])
        look(tail, path)
        assert tail.telemetry.calls == whole(data[: start + 997])


def test_what_was_read_is_not_read_again(path: Path) -> None:
    tail, data = Tail(), lines(0, 20_000)
    path.write_bytes(data)
    assert look(tail, path) >= len(data)
    for number in range(3):
        append(path, lines(20_000 + number, 1))
        assert look(tail, path) <= len(lines(0, 1)) + 2 * WINDOW
        assert len(tail.telemetry.calls) == 20_001 + number


@pytest.mark.parametrize("change", [in_place, renamed, removed])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 500])
def test_a_file_that_was_written_anew_is_read_anew(
    path: Path, change: Callable[[Path, bytes], None], count: int
) -> None:
    tail = Tail()
    path.write_bytes(lines(0, 100))
    look(tail, path)
    tail.telemetry.take_changed()
    change(path, lines(1_000, count))
    look(tail, path)
    assert tail.telemetry.calls == whole(lines(1_000, count))
    assert tail.telemetry.take_changed() == 0, "all that is stored must be replaced"


@pytest.mark.parametrize("kept", [0, 1, 50, 99])
def test_a_file_that_was_cut_and_grew_past_what_was_read_is_read_anew(path: Path, kept: int) -> None:
    tail = Tail()
    path.write_bytes(lines(0, 100))
    look(tail, path)
    data = lines(0, kept) + lines(5_000, 300)
    in_place(path, data)
    look(tail, path)
    assert tail.telemetry.calls == whole(data)


@pytest.mark.parametrize(("change", "edited"), [(in_place, 0), (in_place, 999), (renamed, 500)])
def test_a_single_other_line_is_enough(path: Path, change: Callable[[Path, bytes], None], edited: int) -> None:
    """At the head or at the end; anywhere where the file is another one."""
    tail = Tail()
    path.write_bytes(lines(0, 1_000))
    look(tail, path)
    data = lines(0, edited) + lines(7_000, 1) + lines(edited + 1, 999 - edited)
    change(path, data)
    look(tail, path)
    assert tail.telemetry.calls == whole(data)


def test_what_comes_while_it_is_read_is_left_for_the_next_look(path: Path) -> None:
    tail, data = Tail(), lines(0, 10)
    path.write_bytes(data)
    with opened(path) as file:
        append(path, lines(10, 10))
        assert not tail.follow(file, BUDGET, last=False)
    assert tail.telemetry.calls == whole(data)
    look(tail, path)
    assert tail.telemetry.calls == whole(lines(0, 20))


@pytest.mark.parametrize("last", [False, True])
def test_a_budget_cuts_the_reading_and_not_the_evidence(path: Path, last: bool) -> None:
    tail, data = Tail(), lines(0, 500)
    path.write_bytes(data)
    with opened(path) as file:
        assert tail.follow(file, 1_000, last=last)
        assert file.taken <= 1_000
    look(tail, path, last=last, budget=1_000)
    assert tail.telemetry.calls == whole(data)


def test_the_last_line_without_a_newline_counts_at_the_end_only(path: Path) -> None:
    tail, data = Tail(), lines(0, 3)[:-1]
    path.write_bytes(data)
    look(tail, path)
    assert len(tail.telemetry.calls) == 2
    look(tail, path, last=True)
    assert len(tail.telemetry.calls) == 3


def test_the_last_reading_sees_an_edit_that_the_others_missed(path: Path) -> None:
    tail, data = Tail(), bytearray(lines(0, 1_000))
    path.write_bytes(data)
    look(tail, path)
    middle = data.index(b"tool-000500")
    data[middle : middle + 11] = b"tool-edited"
    with path.open("r+b") as file:
        file.write(data)
    look(tail, path, last=True)
    assert tail.telemetry.calls == whole(bytes(data))


def test_the_last_reading_is_done_once_for_each_state_of_the_file(path: Path) -> None:
    tail = Tail()
    path.write_bytes(lines(0, 100))
    look(tail, path, last=True)
    assert look(tail, path, last=True) == 0
    append(path, lines(100, 1))
    look(tail, path, last=True)
    assert tail.telemetry.calls == whole(lines(0, 101))


def test_the_last_reading_begins_anew_when_the_file_changes_under_it(path: Path) -> None:
    tail, data = Tail(), lines(0, 1_000)
    path.write_bytes(data)
    with opened(path) as file:
        assert tail.follow(file, len(data) // 2, last=True)
    other = lines(0, 200) + lines(7_000, 1) + lines(201, 900)  # before the window, and behind the head
    with path.open("r+b") as file_again:
        file_again.write(other)
    look(tail, path, last=True)
    assert tail.telemetry.calls == whole(other)


changes = st.tuples(
    st.sampled_from(["append", "cut", "in_place", "renamed", "removed"]), st.integers(0, 120), st.integers(0, 5_000)
)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(steps=st.lists(st.tuples(changes, st.booleans(), st.booleans()), max_size=12))
def test_whatever_was_done_to_a_file_its_last_reading_says_what_it_holds(
    steps: list[tuple[tuple[str, int, int], bool, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, tail = Path(folder, "x.jsonl"), Tail()
        path.write_bytes(b"")
        for number, ((kind, count, cut), seen, last) in enumerate(steps):
            data = lines(1_000 * number, count)[: -(cut % 40) or None]
            if kind == "append":
                append(path, data)
            elif kind == "cut":
                os.truncate(path, min(cut, path.stat().st_size))
            else:
                {"in_place": in_place, "renamed": renamed, "removed": removed}[kind](path, data)
            # File systems with coarse stamps give two changes the same one: settling is for those, not the tail.
            os.utime(path, ns=(number, number))
            if seen:
                look(tail, path, last=last, budget=2_000)
        look(tail, path, last=True, budget=2_000)
        assert tail.telemetry.calls == whole(path.read_bytes(), rest=True)
