"""The API against its own document: every route is in it and the other way round, and generated requests agree."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount, Route

from reevd.api.app import App
from reevd.api.service import Service
from tests.bridge import bridge
from tests.harness import ROOT, Daemon, daemon, leave, session, wait_until

CASE = "001-sol-transfer"


def test_every_route_is_in_the_document_and_nothing_else_is() -> None:
    app: Any = App(Service("none", "none", None, 0))._app
    mount, metrics = app.routes
    assert isinstance(mount, Mount)
    served = {(r.path, m) for r in mount.routes or () if isinstance(r, Route) for m in r.methods or () if m != "HEAD"}
    served.add((metrics.path, "GET"))  # Prometheus's own format, and at its own place
    paths = json.loads(json.dumps(document()))["paths"]
    assert served == {(path, method.upper()) for path, methods in paths.items() for method in methods}


def document() -> dict[str, Any]:
    from reevd.api.document import document as whole

    return whole()


def test_nothing_of_the_document_is_cut_at_a_comma() -> None:
    """In YAML's flow style a comma ends a text, and what follows becomes a key without a value."""
    waiting: list[object] = [document()]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            assert [key for key, value in each.items() if value is None and key not in ("default", "example")] == []
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def test_a_misspelt_parameter_is_refused(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        for path, words in (
            ("/executions?agnet=x", "it takes limit, cursor, status, agent"),
            ("/executions/x?full=1", "it takes none"),
            ("/health?x=", "it takes none"),
        ):
            status, answer = running.request("GET", f"/api/v1{path}")
            assert (status, answer["error"]) == (400, "bad request")
            assert words in answer["message"]
        assert running.get("/api/v1/openapi.json")["openapi"] == "3.1.0"


def filled(home: Path) -> Daemon:
    """A daemon that knows a bit of everything, and runs what it is told to without much ado."""
    (home / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / f"{CASE}.yml", home / "benchmarks")
    runner = home / "a-runner"
    runner.write_text("#!/bin/sh\nexit 0\n")
    runner.chmod(runner.stat().st_mode | stat.S_IXUSR)
    running = Daemon(home, runner=runner, settle_seconds=0.05)
    for folder in (
        "recorded-003-spl-transfer-fail",
        "finished-with-telemetry",
        "wrong-types-everywhere",
        "older-telemetry",
    ):
        for path in (ROOT / "fixtures" / "sessions" / folder).iterdir():
            if path.name != "expected.json":
                shutil.copy(path, running.sessions)
    for number, agent in enumerate(("one", "two", "one", "two")):
        final = {"success": number < 2, "score": number / 4}
        leave(running.sessions, f"e{number}", session(f"e{number}", agent_type=agent, final_result=final))
    (running.sessions / "session_torn.json").write_text("{")
    running.start()
    wait_until(lambda: running.get("/api/v1/health")["problems"], "trouble is seen")
    return running


@pytest.mark.timeout(300)
def test_generated_requests_agree_with_the_document(tmp_path: Path) -> None:
    """Whatever is sent, the status, the headers and the body are what the document says."""
    running = filled(tmp_path)
    try:
        with bridge(running.socket) as port:
            command = [
                str(Path(sys.executable).with_name("schemathesis")), "run", f"http://127.0.0.1:{port}/api/v1/openapi.json",
                "--exclude-path", "/events", "--exclude-path", "/metrics",
                "--max-examples", "20", "--seed", "1", "--workers", "1",
                "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--no-color", "--exclude-checks",
                "unsupported_method,missing_required_header,positive_data_acceptance,ignored_auth",
            ]  # fmt: skip
            whole = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # it needs rich
            done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=tmp_path, env=whole)
        print(done.stdout[-400:])
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert running.get("/api/v1/health")["status"] == "healthy"
    finally:
        running.stop()
