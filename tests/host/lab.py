"""A throwaway systemd: boots one as PID 1 over a copy-on-write view of this machine, with reevd installed in it.

Nothing that happens inside reaches this machine. What is written stays from one boot to the next of the same lab,
but for /run and /tmp, as on a real host. Needs root, overlayfs and systemd-nspawn.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import ROOT, hide_rich

BOOT_SECONDS = 100
SOURCE, LIBRARY = "/usr/local/src/reevd", "/usr/local/lib/reevd"
UNIT = """[Unit]
Description=What the lab is for
After=basic.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/bin/sh /lab/command > /lab/output 2>&1; echo $? > /lab/status'
ExecStopPost=/bin/systemctl --no-block --force poweroff
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
"""
STUB = """#!{library}/bin/python
import sys
from {module} import main
sys.exit(main())
"""
PROBE = """mount -t tmpfs lab /mnt; cd /mnt; mkdir upper work root
mount -t overlay lab -o lowerdir=/,upperdir=upper,workdir=work root"""
COMMANDS = {"reevd": "reevd.cli", "reevctl": "reevd.ctl.main", "reev-runner": "runner.cli"}


def missing() -> str | None:
    """Why no lab can be had here; None where it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a lab needs Linux and root"
    if shutil.which("systemd-nspawn") is None:
        return "a lab needs systemd-nspawn (Debian: systemd-container)"
    if _python() is None:
        return "a lab needs a Python of this version outside of /root and /home"
    if not Path(sys.prefix).is_relative_to(ROOT) and sys.prefix.startswith(("/tmp/", "/run/", "/home/", "/root/")):
        return f"a lab does not see {sys.prefix}, which its programs would need: make the environment in the checkout"
    probe = subprocess.run(["unshare", "--mount", "sh", "-ec", PROBE], capture_output=True)
    return None if probe.returncode == 0 else f"a lab needs to mount: {probe.stderr.decode().strip()}"


def _python() -> str | None:
    """An interpreter that a service, which sees no homes, can run."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = ("/usr/bin", "/usr/local/bin", os.path.join(sys.base_prefix, "bin"))
    found = (os.path.realpath(os.path.join(place, name)) for place in places)
    return next((path for path in found if os.path.exists(path) and not path.startswith(("/root", "/home"))), None)


class NoBootError(Exception):
    """This machine does not let a systemd boot."""


class Lab:
    def __init__(self, home: Path) -> None:
        self._root, self._out = home / "mnt" / "root", home / "out"
        self._out.mkdir()

    def boot(self, command: list[str]) -> str:
        """Boots, runs the command as root, powers off. Returns what it printed.

        Raises NoBootError where it did not even begin, AssertionError where it failed.
        """
        for name in ("output", "status"):
            (self._out / name).unlink(missing_ok=True)
        (self._out / "command").write_text(shlex.join(command) + "\n")
        nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe"]
        shares = [f"--bind={self._out}:/lab", f"--bind-ro={ROOT}:{SOURCE}"]
        kernel = ["systemd.show_status=0", "systemd.log_level=warning"]
        console = subprocess.run(
            ["timeout", "-k", "5", str(BOOT_SECONDS), *nspawn, *shares, "-D", str(self._root), "--boot", *kernel],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        status, output = self._out / "status", self._out / "output"
        said = output.read_text() if output.exists() else ""
        if not output.exists():
            raise NoBootError(f"systemd does not boot here: {console.stdout[-1000:]}{console.stderr[-1000:]}")
        assert status.exists(), f"the lab did not end by itself: {console.stdout[-3000:]}\n{said[-3000:]}"
        assert status.read_text().strip() == "0", said[-6000:]
        return said

    def install(self) -> None:
        """The programs as links to this checkout, the rest as `make install` puts it."""
        environ = {**os.environ, "DESTDIR": str(self._root), "PREFIX": "/usr/local"}
        for name in ("SYSCONFDIR", "UNITDIR"):
            environ.pop(name, None)
        subprocess.run([ROOT / "systemd" / "install.sh", "host"], env=environ, check=True)
        library = Path(f"{self._root}{LIBRARY}")
        subprocess.run([str(_python()), "-m", "venv", "--without-pip", str(library)], check=True)
        (packages,) = library.glob("lib/python*/site-packages")
        here = Path(sys.prefix).relative_to(ROOT) if Path(sys.prefix).is_relative_to(ROOT) else None
        inside = f"{SOURCE}/{here}" if here else sys.prefix
        (packages / "reevd.pth").write_text(f"{SOURCE}\n{inside}/{packages.relative_to(library)}\n")
        hide_rich(packages)
        for name, module in COMMANDS.items():
            script = Path(f"{self._root}/usr/local/bin/{name}")
            script.unlink(missing_ok=True)
            script.write_text(STUB.format(library=LIBRARY, module=module))
            script.chmod(0o755)


@contextmanager
def lab(home: Path) -> Iterator[Lab]:
    """A machine of its own, off; everything of it is gone afterwards."""
    layers = home / "mnt"
    layers.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "lab", str(layers)], check=True)
    try:
        for name in ("upper", "work", "root"):
            (layers / name).mkdir()
        options = f"lowerdir=/,upperdir={layers}/upper,workdir={layers}/work"
        subprocess.run(["mount", "-t", "overlay", "lab", "-o", options, str(layers / "root")], check=True)
        try:
            units = layers / "root" / "etc" / "systemd" / "system"
            (units / "lab.service").write_text(UNIT)
            (units / "default.target").unlink(missing_ok=True)
            (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
            wants = units / "multi-user.target.wants"
            shutil.rmtree(wants, ignore_errors=True)
            wants.mkdir()
            (wants / "lab.service").symlink_to("/etc/systemd/system/lab.service")
            (layers / "root" / "etc" / "machine-id").write_text("")
            made = Lab(home)
            made.install()
            yield made
        finally:
            subprocess.run(["umount", str(layers / "root")], check=True)
    finally:
        subprocess.run(["umount", str(layers)], check=True)
