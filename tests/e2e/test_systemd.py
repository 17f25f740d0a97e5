"""The units, in a booted systemd: each check is a promise of the README's section on hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.harness import ROOT
from tests.host.lab import LIBRARY, SOURCE, NoBootError, lab, missing

BOOTS = ("first_boot", "second_boot")
REPORTED = re.compile('{"check"').match


def checks(boot: str) -> list[str]:
    """Names of the checks of a boot, as its module calls them."""
    text = (ROOT / "tests" / "host" / f"{boot}.py").read_text()
    return re.findall(r"^def (\w+)\(\) -> str:", text, re.MULTILINE)


@pytest.mark.timeout(200)
def test_on_a_host(tmp_path: Path, subtests: pytest.Subtests) -> None:
    """One test, because one lab serves all of the checks: it takes its time to boot."""
    if (why := missing()) is not None:
        pytest.skip(why)
    lines: list[str] = []
    with lab(tmp_path) as host:
        for boot in BOOTS:
            command = ["env", f"--chdir={SOURCE}", f"{LIBRARY}/bin/python", "-m", f"tests.host.{boot}"]
            try:
                lines += host.boot(command).splitlines()
            except NoBootError as error:
                if lines:  # it booted once
                    raise
                pytest.skip(str(error))
    told = {line["check"]: line for line in map(json.loads, filter(REPORTED, lines))}
    for check in (check for boot in BOOTS for check in checks(boot)):
        with subtests.test(check):
            assert check in told, f"it was not made; these were: {list(told)}"
            print(f"{check}:\n{told[check]['said']}\n")
            assert told[check]["ok"], told[check]["said"]
