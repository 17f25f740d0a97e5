"""The units, in a booted systemd: each check is a promise of the README's section on hosts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.harness import ROOT
from tests.host.lab import LIBRARY, SOURCE, NoBootError, lab, missing

BOOTS = ("first_boot", "second_boot")
# One lab for all of them: it takes its time to boot.
pytestmark = [pytest.mark.timeout(150), pytest.mark.xdist_group("lab")]


def checks(boot: str) -> list[str]:
    """Names of the checks of a boot, as its module calls them."""
    text = (ROOT / "tests" / "host" / f"{boot}.py").read_text()
    return re.findall(r"^def (\w+)\(\) -> str:", text, re.MULTILINE)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What each check of both boots came to, by its name."""
    if (why := missing()) is not None:
        pytest.skip(why)
    home = tmp_path_factory.mktemp("lab")
    lines: list[str] = []
    with lab(home) as host:
        try:
            host.boot(["true"])
        except NoBootError as error:
            pytest.skip(str(error))
        for boot in BOOTS:
            lines += host.boot(
                ["env", f"--chdir={SOURCE}", f"{LIBRARY}/bin/python", "-m", f"tests.host.{boot}"]
            ).splitlines()
    found = [json.loads(line) for line in lines if line.startswith('{"check"')]
    (Path(home) / "report.json").write_text(json.dumps(found))
    return {line["check"]: line for line in found}


@pytest.mark.parametrize("check", [check for boot in BOOTS for check in checks(boot)])
def test_on_a_host(check: str, told: dict[str, dict[str, object]]) -> None:
    assert check in told, f"it was not made; these were: {list(told)}"
    print(told[check]["said"])
    assert told[check]["ok"], told[check]["said"]
