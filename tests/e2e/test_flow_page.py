"""The flow in a real browser, with no network: drawn, and drawn only as text whatever a file holds."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from reevd.views.mermaid import label
from tests.harness import ROOT, daemon, leave, session

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIBRARY = ROOT / "reevd" / "views" / "vendor" / "mermaid.tiny.js"
FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--virtual-time-budget=20000",
)  # fmt: skip
HOSTILE = "</script><script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
ODD = f'a"b: c; d --> e %% f {{g}} [*] end note "q" #quot; `x` \\n $$y$$ <<fork>> {HOSTILE}'

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed here")


def rendered(page: Path) -> str:
    """The document as the browser made it."""
    assert BROWSER is not None
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory() as profile:
        command = [BROWSER, *FLAGS, *root, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def drawing(document: str) -> str:
    """The text of what was drawn, without the marks."""
    assert 'data-drawn="yes"' in document, document[-3000:]
    svg = document[document.index("<svg") : document.index("</svg>")]
    return html.unescape(re.sub("<[^>]*>", " ", svg))


def saved(home: Path, execution_id: str, content: object, telemetry: str = "") -> Path:
    """The page that `reevctl flow --format html -o` leaves for such a run."""
    with daemon(home) as running:
        if telemetry:
            (running.sessions / f"enhanced_otel_{execution_id}.jsonl").write_text(telemetry)
        leave(running.sessions, execution_id, content)
        running.wait_for(execution_id, "Failed" if "error" in json.dumps(content) else "Completed")
        page = home / "flow.html"
        command = [sys.executable, "-m", "reevd.ctl", "--socket", str(running.socket), "flow", execution_id]
        subprocess.run([*command, "--format", "html", "-o", str(page)], check=True, timeout=30)
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.stdout.startswith("stateDiagram-v2\n")
        assert running.get(f"/api/v1/flows/{execution_id}")["diagram"] + "\n" == done.stdout
    return page


@needs_browser
def test_a_saved_page_draws_itself(tmp_path: Path) -> None:
    case = ROOT / "fixtures" / "sessions" / "recorded-003-spl-transfer-fail"
    name = "recorded-003-spl-transfer-fail"
    content = (case / f"session_{name}.json").read_text()
    page = saved(tmp_path, name, content, (case / f"enhanced_otel_{name}.jsonl").read_text())
    document = rendered(page)
    shown = drawing(document)
    for text in (
        "Prompt",
        "deterministic",
        "1. spl_transfer",
        "USER_USDC_ATA",
        "RECIPIENT_USDC_ATA",
        "15 USDC",
        "75.0%",
    ):
        assert text in shown, text
    assert "003-spl-transfer-fail" in document
    assert "https://" not in re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)


@needs_browser
def test_hostile_text_is_drawn_as_text_and_nothing_of_it_runs(tmp_path: Path) -> None:
    final = {"success": False, "score": 0.5, "error": ODD, "data": {"prompt": ODD}}
    call = {"event_type": "ToolInput", "tool_input": {"tool_name": ODD, "tool_args": {ODD: ODD}}}
    content = session("x", benchmark_id=HOSTILE.replace("/", ""), agent_type=ODD, final_result=final)
    document = rendered(saved(tmp_path, "x", content, json.dumps(call) + "\n"))
    shown = " ".join(drawing(document).split())
    assert "<title>pwned" not in document
    assert "</script><script>" in shown
    assert 'a"b: c; d --> e %% f {g} [*] end note' in shown


@needs_browser
def test_every_fixtures_diagram_is_one_to_the_real_mermaid(tmp_path: Path) -> None:
    told = "\n".join(path.read_text() + "\n" for path in (ROOT / "fixtures" / "golden").glob("*.txt"))
    diagrams = dict(re.findall(r"==== (\S+): flow \([^)]*\)\n(.*?)\n\n", told, re.DOTALL))
    assert len(diagrams) > 50
    diagrams["odd"] = f'stateDiagram-v2\n    state "{label(ODD)}" as A\n    [*] --> A : {label(ODD)}'
    diagrams["broken"] = "stateDiagram-v2\n    state {"
    page = tmp_path / "parse.html"
    source = json.dumps(diagrams).replace("<", "\\u003c")
    page.write_text(
        f"<meta charset=utf-8><pre id=found></pre><script>{LIBRARY.read_text()}</script><script>"
        f"const all = {source}; const found = {{}};"
        "(async () => { for (const [name, text] of Object.entries(all)) {"
        " found[name] = await mermaid.parse(text).then(() => 'ok', (e) => String(e)); }"
        " document.getElementById('found').textContent = JSON.stringify(found); })()</script>"
    )
    text = re.search(r'<pre id="found">(.*?)</pre>', rendered(page), re.DOTALL)
    assert text is not None
    found = json.loads(html.unescape(text[1]))
    assert found.pop("broken") != "ok", "mermaid takes anything: this test proves nothing"
    assert {name: said for name, said in found.items() if said != "ok"} == {}
    assert len(found) == len(diagrams) - 1


def test_the_library_is_the_one_that_is_named() -> None:
    import hashlib

    text = (LIBRARY.parent / "README.md").read_text()
    assert hashlib.sha256(LIBRARY.read_bytes()).hexdigest() in text
    assert "MIT" in (LIBRARY.parent / "LICENSE").read_text()
