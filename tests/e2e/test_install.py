"""`make install` and its kin below a DESTDIR: what stands goes on until the new is whole; who installs does not matter.

The Python is a stub: what pip does is its own business, and a test needs no network.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.harness import ROOT

LIBRARY = "usr/local/lib/reevd"
STUB = """#!/bin/sh
case "$*" in
-c*) echo /usr ;;
"-m venv"*)
    mkdir -p "$3/bin" "$3/lib/python3.11/site-packages"
    cp "$0" "$3/bin/python"
    for command in reevd reevctl reev-runner; do printf '#!%s/bin/python\\n' "$3" >"$3/bin/$command"; done
    echo "command = python -m venv $3" >"$3/pyvenv.cfg" ;;
*pip*install*)
    echo "$*" >>"$LOG"
    [ -z "${BROKEN:-}" ] || exit 1 ;;
esac
"""


def install(home: Path, *steps: str, umask: int = 0o022, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs the steps, with pip's commands logged in `home/log`; DESTDIR is `home/tree`."""
    stub = home / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    (home / "log").write_text("")
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {"DESTDIR": str(home / "tree"), "PYTHON": str(stub), "LOG": str(home / "log"), **environ}
    return subprocess.run(
        [ROOT / "systemd" / "install.sh", *steps], env={**kept, **settings}, umask=umask, capture_output=True, text=True
    )


def test_the_programs_know_their_final_place(tmp_path: Path) -> None:
    assert install(tmp_path, "program").returncode == 0
    library = tmp_path / "tree" / LIBRARY
    assert (library / "bin" / "reevd").read_text() == f"#!/{LIBRARY}/bin/python\n"
    assert str(tmp_path) not in (library / "pyvenv.cfg").read_text()
    assert os.readlink(tmp_path / "tree/usr/local/bin/reevctl") == f"/{LIBRARY}/bin/reevctl"
    assert "uninstall --yes hatchling" in (tmp_path / "log").read_text()


def test_an_upgrade_that_fails_leaves_what_stands(tmp_path: Path) -> None:
    assert install(tmp_path, "program").returncode == 0
    library = tmp_path / "tree" / LIBRARY
    (library / "version").write_text("old")
    failed = install(tmp_path, "program", BROKEN="yes")
    assert failed.returncode == 1
    assert "is as it was" in failed.stderr
    assert (library / "version").read_text() == "old"
    assert sorted(path.name for path in library.parent.iterdir()) == ["reevd"]
    assert install(tmp_path, "program").returncode == 0
    assert not (library / "version").exists()
    assert sorted(path.name for path in library.parent.iterdir()) == ["reevd"]


def test_an_extra_is_there_after_an_upgrade_too(tmp_path: Path) -> None:
    assert install(tmp_path, "program", EXTRAS="parquet").returncode == 0
    assert ".[parquet]" in (tmp_path / "log").read_text()
    packages = tmp_path / "tree" / LIBRARY / "lib/python3.11/site-packages"
    (packages / "opentelemetry/exporter/otlp").mkdir(parents=True)
    assert install(tmp_path, "program").returncode == 0
    assert ".[otlp]" in (tmp_path / "log").read_text()


def test_all_may_read_it_whoever_installs(tmp_path: Path) -> None:
    assert install(tmp_path, "program", "host", umask=0o077).returncode == 0
    tree = tmp_path / "tree"
    assert (tree / "usr/local/share/reevd/benchmarks/001-sol-transfer.yml").exists()
    closed = [p for p in tree.rglob("*") if not p.is_symlink() and not p.stat().st_mode & (1 if p.is_dir() else 4)]
    assert closed == []


def test_the_units_name_the_folder_of_the_settings(tmp_path: Path) -> None:
    assert install(tmp_path, "host", SYSCONFDIR="/opt/etc").returncode == 0
    tree = tmp_path / "tree/opt/etc"
    assert (tree / "reevd/reevd.yaml").exists()
    unit = (tree / "systemd/system/reevd.service").read_text()
    assert "--config /opt/etc/reevd/reevd.yaml" in unit
    assert "EnvironmentFile=-/opt/etc/reevd/environment" in unit
    for path in (tree / "systemd/system").iterdir():
        assert "@" not in path.read_text().replace("reev-run@", "").replace("@system-service", "").replace(
            "~@privileged @resources", ""
        ), path


def test_uninstalled_only_the_settings_stay(tmp_path: Path) -> None:
    install(tmp_path, "program", "host")
    assert install(tmp_path, "remove").returncode == 0
    files = [str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*") if not path.is_dir()]
    assert files == ["etc/reevd/reevd.yaml"]
