"""Which folders other hosts may write to unseen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reevd import config, daemon, mount
from reevd.errors import ConfigError
from reevd.mount import remote


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("ext4", None), ("tmpfs", None), ("fuse", None), ("nfs4", "nfs4"), ("9p", "9p"), ("fuse.sshfs", "fuse.sshfs")],
)
def test_what_kind_of_file_system_hides_writes(tmp_path: Path, kind: str, answer: str | None) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "21 1 99:99 / /other rw shared:1 - nfs4 host:/other rw\n"
        f"22 1 {os.major(device)}:{os.minor(device)} / {tmp_path} rw,noatime shared:2 master:1 - {kind} source rw\n"
    )
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert remote(folder, str(mounts)) == answer
        assert remote(folder, str(tmp_path / "none")) is None
    finally:
        os.close(folder)


def test_a_mount_may_have_any_name(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        b"21 1 99:99 / /media/Ger\xe4t\rb rw - vfat /dev/sdb1 rw\n"
        b"22 1 %d:%d / /mnt/\xff rw - fuse.\xe4 source rw\n" % (os.major(device), os.minor(device))
    )
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert remote(folder, str(mounts)) == "fuse.\ufffd", "and what is told of it can be shown"
    finally:
        os.close(folder)


@pytest.mark.parametrize("once", [True, False])
def test_a_database_is_not_kept_on_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, once: bool) -> None:
    database = tmp_path / "state" / "reevd.sqlite3"
    settings = config.load(["--database", str(database), *["--once"] * once], {})
    monkeypatch.setattr(mount, "remote", lambda _folder: "nfs4")
    with pytest.raises(ConfigError, match="it is on nfs4") as refused:
        daemon.run(settings, lambda: settings)
    assert "local disk" in refused.value.hint
    assert not database.exists()
