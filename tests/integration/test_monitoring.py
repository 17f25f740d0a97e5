"""The dashboard and the alert rules: each metric that they name is one that a daemon has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness import ROOT, Daemon, daemon, leave, session, wait_until
from tests.integration.test_metrics import scrape

MONITORING = ROOT / "systemd" / "monitoring"
RULES, DASHBOARD = MONITORING / "alerts.yml", MONITORING / "grafana-dashboard.json"


def rules() -> list[str]:
    return [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[str]:
    return [target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]


def names(running: Daemon) -> set[str]:
    return {name for name, _ in scrape(running)}


def test_every_metric_that_is_named_is_there(tmp_path: Path) -> None:
    command = json.dumps(["true", "{execution_id}"])
    with daemon(tmp_path, settle_seconds=0.05, notice_command=command) as running:
        scrape(running)
        leave(running.sessions, "a", session("a"))
        running.wait_for("a", "Completed")
        wait_until(lambda: "reevd_feed_sent_total" in names(running), "the follower has begun", log=running.log)
        found = names(running)
    named = {name for text in rules() + panels() for name in re.findall(r"reevd_\w+", text)}
    assert len(named) > 15
    assert named - found == set()
    # What needs a person who must hear of it, in both places.
    for text in ("\n".join(part) for part in (rules(), panels())):
        assert {"reevd_feed_waiting", "reevd_feed_failed_total", "reevd_feed_given_up_total"} <= set(
            re.findall(r"reevd_\w+", text)
        )


def test_the_dashboard_can_be_placed() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating"} <= dashboard.keys()
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_promtool_takes_the_rules() -> None:
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([promtool, "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
