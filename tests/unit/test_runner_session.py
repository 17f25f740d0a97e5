"""The session file: written whole or not at all; where the telemetry goes."""

import errno
import os
from pathlib import Path

import pytest

from runner.claim import Claim
from runner.errors import RunnerError, UsageError
from runner.otel_file import OtelFile, Place, place
from runner.session import SessionFile


def test_a_document_takes_the_place_of_the_one_before(tmp_path):
    file = SessionFile(tmp_path, "x")
    file.write({"a": 1})
    before = os.stat(file.path).st_ino
    file.write({"a": 2})
    assert file.path.read_bytes() == b'{"a":2}\n'
    assert os.stat(file.path).st_ino != before, "it was written in place: a reader could see it cut"
    assert [entry.name for entry in tmp_path.iterdir()] == ["session_x.json"]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_document_and_no_rest(tmp_path, monkeypatch, call):
    file = SessionFile(tmp_path, "x")
    file.write({"a": 1})

    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(RunnerError, match=r"session_x\.json: No space left") as caught:
        file.write({"a": 2})
    assert caught.value.hint
    assert file.path.read_bytes() == b'{"a":1}\n'
    assert [entry.name for entry in tmp_path.iterdir()] == ["session_x.json"]


def test_a_folder_that_has_become_read_only_is_told_as_such(tmp_path, monkeypatch):
    file = SessionFile(tmp_path, "x")

    def fail(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for call in ("open", "unlink"):
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(RunnerError, match=r"session_x\.json: Read-only file system"):
        file.write({"a": 1})
    with pytest.raises(RunnerError, match=r"claiming the execution id x in .*: Read-only file system"):
        Claim(tmp_path, "x")


def test_an_id_is_claimed_by_one_at_a_time(tmp_path):
    first = Claim(tmp_path, "x")
    with pytest.raises(UsageError, match="another run goes by it"):
        Claim(tmp_path, "x")
    Claim(tmp_path, "y").close()
    first.close()
    Claim(tmp_path, "x").close()
    assert list(tmp_path.iterdir()) == []


def test_a_claim_on_a_file_that_was_just_removed_is_none(tmp_path, monkeypatch):
    first, opened = Claim(tmp_path, "x"), os.open

    def after_the_first_has_gone(*arguments):
        monkeypatch.undo()
        descriptor = opened(*arguments)
        first.close()
        return descriptor

    monkeypatch.setattr(os, "open", after_the_first_has_gone)
    second = Claim(tmp_path, "x")
    with pytest.raises(UsageError):
        Claim(tmp_path, "x")
    second.close()


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (None, False),
        (b'{"final_result":null}', False),
        (b"{}", False),
        (b'{"final_result":{"success":false}}', True),
        (b"[]", True),
        (b'{"final_result":', True),
        (b"", True),
    ],
)
def test_what_holds_a_result_or_may_hold_one_is_not_overwritten(tmp_path, content, refused):
    file = SessionFile(tmp_path, "x")
    if content is not None:
        file.path.write_bytes(content)
    if refused:
        with pytest.raises(UsageError, match="x"):
            file.require_no_result()
    else:
        file.require_no_result()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    file = SessionFile(tmp_path, "x")
    os.mkfifo(file.path)
    with pytest.raises(UsageError, match=r"session_x\.json is there and cannot be read: it is no plain file"):
        file.require_no_result()
    os.mkfifo(tmp_path / "t.jsonl")
    with pytest.raises(RunnerError, match="opening the telemetry file"):
        OtelFile(Place(tmp_path / "t.jsonl", own=True))


def test_a_claim_that_cannot_be_removed_keeps_nobody_out(tmp_path, monkeypatch):
    first = Claim(tmp_path, "x")

    def fail(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", fail)
        first.close()
    assert [path.name for path in tmp_path.iterdir()] == [".session_x.lock"]
    Claim(tmp_path, "x").close()
    assert list(tmp_path.iterdir()) == []


def test_a_line_for_which_there_is_no_room_is_told_with_its_file():
    file = OtelFile(Place(Path("/dev/full"), own=False))
    with pytest.raises(RunnerError, match="appending to the telemetry file /dev/full: No space left"):
        file.append({})
    file.close()


def test_the_telemetry_lies_beside_the_session_unless_a_setting_moves_it(tmp_path):
    usual = tmp_path / "enhanced_otel_x.jsonl"
    assert place(tmp_path, "x", {}) == Place(usual, own=True)
    assert place(tmp_path, "x", {"REEV_ENHANCED_OTEL": "1"}) == Place(usual, own=True)
    elsewhere = place(tmp_path, "x", {"REEV_ENHANCED_OTEL_FILE": "/there/{session_id}/{session_id}.jsonl"})
    assert (str(elsewhere.path), elsewhere.own) == ("/there/x/x.jsonl", False)
    spelled = place(tmp_path, "x", {"REEV_ENHANCED_OTEL_FILE": f"{tmp_path}/enhanced_otel_{{session_id}}.jsonl"})
    assert spelled.own
    for word in ("0", "false", "False", "off", "no"):
        assert place(tmp_path, "x", {"REEV_ENHANCED_OTEL": word}) is None
    assert place(tmp_path, "x", {"OTEL_SDK_DISABLED": "true"}) is None


def test_two_writers_do_not_share_a_telemetry_file(tmp_path):
    where = Place(tmp_path / "t.jsonl", own=False)
    first = OtelFile(where)
    with pytest.raises(UsageError, match="another run writes to it"):
        OtelFile(where)
    first.close()
    OtelFile(where).close()


def test_the_telemetry_file_is_never_a_link(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "t.jsonl").symlink_to("target")
    with pytest.raises(RunnerError, match="opening the telemetry file"):
        OtelFile(Place(tmp_path / "t.jsonl", own=True))
    assert (tmp_path / "target").read_text() == "precious"
