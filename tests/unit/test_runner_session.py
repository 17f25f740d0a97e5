"""The session file: written whole or not at all; where the telemetry goes."""

import errno
import os

import pytest

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


def test_the_telemetry_lies_beside_the_session_unless_a_setting_moves_it(tmp_path):
    usual = tmp_path / "enhanced_otel_x.jsonl"
    assert place(tmp_path, "x", {}) == Place(usual, own=True)
    assert place(tmp_path, "x", {"REEV_ENHANCED_OTEL": "1"}) == Place(usual, own=True)
    elsewhere = place(tmp_path, "x", {"REEV_ENHANCED_OTEL_FILE": "/there/{session_id}/{session_id}.jsonl"})
    assert (str(elsewhere.path), elsewhere.own) == ("/there/x/x.jsonl", False)
    spelled = place(tmp_path, "x", {"REEV_ENHANCED_OTEL_FILE": f"{tmp_path}/enhanced_otel_{{session_id}}.jsonl"})
    assert spelled.own
    assert place(tmp_path, "x", {"REEV_ENHANCED_OTEL": "0"}) is None
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
