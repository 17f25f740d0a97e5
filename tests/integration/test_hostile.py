"""What is no plain file, and names that nobody sane would choose: refused, shown, healed."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from reevd.bounds import Bounds
from tests.harness import leave
from tests.integration.conftest import Bench
from tests.integration.hostile import GOOD, NAMES, OTEL, SESSION, goes_on, is_shown, shown


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        folder = os.open(path.parent, os.O_PATH)
        try:
            end.bind(f"/proc/self/fd/{folder}/{path.name}")  # the path of a socket has at most 107 bytes
        finally:
            os.close(folder)


def device(path: Path) -> None:
    if os.statvfs(path.parent).f_flag & os.ST_NODEV:
        pytest.skip("devices cannot be opened on this file system")
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero: reading it never ends
    except PermissionError:
        pytest.skip("only root makes device nodes")


def folder(path: Path) -> None:
    path.mkdir()


def link_outside(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_text(GOOD)
    path.symlink_to(outside)


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def second_name(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_text(GOOD)
    path.hardlink_to(outside)


def sparse(path: Path) -> None:
    path.touch()
    try:
        os.truncate(path, 4 << 40)
    except OSError as error:
        path.unlink()
        pytest.skip(f"no file of 4 TiB here: {error.strerror}")


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (fifo, "special"),
    (unix_socket, "special"),
    (device, "special"),
    (folder, "special"),
    (link_outside, "link"),
    (dangling_link, "link"),
    (link_to_itself, "link"),
    (second_name, "link"),
    (sparse, "size"),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("make", "kind"), REFUSED)
def test_what_is_no_plain_file_is_refused_and_heals(
    bench: Bench, make: Callable[[Path], None], kind: str, name: str
) -> None:
    bench.start()
    path = bench.sessions / name
    make(path)
    goes_on(bench)
    is_shown(bench, name, kind)
    assert bench.status("x") in (None, "Running"), "nothing was read from it"
    if path.is_dir():
        path.rmdir()
    leave(bench.sessions, "x", GOOD)
    if name != SESSION:
        hidden = bench.sessions / "whole"
        hidden.write_text(json.dumps({"event_type": "ToolInput", "tool_input": {"tool_name": "t"}}) + "\n")
        hidden.rename(path)
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")


@pytest.mark.parametrize("left", [(), *((name,) for name in NAMES), NAMES])
@pytest.mark.parametrize("name", NAMES)
def test_trouble_that_was_taken_away_is_over(bench: Bench, name: str, left: tuple[str, ...]) -> None:
    """Also where the run's files have other names than what was refused."""
    bench.start()
    dangling_link(bench.sessions / name)
    is_shown(bench, name, "link")
    (bench.sessions / name).unlink()
    for one in left:
        (bench.sessions / one).write_text(GOOD if one == SESSION else "")
    bench.until(lambda: not bench.problems(), "it is over")
    wanted = None if not left else "Completed" if SESSION in left else "Running"
    bench.until(lambda: bench.status("x") == wanted, "what was left is known")


@pytest.mark.parametrize("name", NAMES)
def test_files_of_others_than_the_named_users_are_refused_and_heal(bench: Bench, name: str) -> None:
    strangers = Bounds(settle_ns=50_000_000, writers=frozenset({os.geteuid() + 1}))
    bench.bounds = strangers
    engine = bench.start()
    (bench.sessions / name).write_text(GOOD if name == SESSION else "")
    is_shown(bench, name, "owner")
    assert bench.status("x") is None
    engine.tune(bench.limits, strangers._replace(writers=frozenset({os.geteuid()})), bench.pace)
    bench.until(lambda: bench.status("x") in ("Completed", "Running") and not bench.problems(), "it healed")


def test_oversized_telemetry_is_shown_with_its_execution(bench: Bench) -> None:
    bench.start()
    sparse(bench.sessions / OTEL)
    bench.until(bench.problems, "the problem is shown")
    assert shown(bench, OTEL)[0] == "x"


def test_a_file_heals_when_its_second_name_goes(bench: Bench) -> None:
    engine = bench.start()
    second_name(bench.sessions / SESSION)
    is_shown(bench, SESSION, "link")
    (bench.home / "outside").unlink()
    engine.rescan()  # the folder itself sees no event
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")


@pytest.mark.parametrize(
    "raw",
    [
        b"session_a\nb.json",
        b"session_\x1b[2J.json",
        b"session_\xff\xfe.json",
        b"session_...json",
        b"enhanced_otel_-rf.jsonl",
        "session_e\u0301.json".encode(),
        "session_\u202egnp.json".encode(),
        b"session_" + b"n" * 240 + b".json",
    ],
)
def test_a_name_that_holds_no_id_is_shown_harmlessly_and_heals(bench: Bench, raw: bytes) -> None:
    engine = bench.start()
    path = os.fsencode(bench.sessions) + b"/" + raw
    Path(os.fsdecode(path)).write_text(GOOD)
    goes_on(bench)
    bench.until(bench.problems, "the problem is shown")
    ((name, kind),) = bench.problems().items()
    assert kind == "name"
    assert name.isprintable()
    is_shown(bench, name, "name")
    os.rename(path, bench.sessions / SESSION)
    engine.rescan()
    bench.until(lambda: bench.status("x") == "Completed" and not bench.problems(), "it healed")
