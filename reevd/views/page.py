"""A flow as a page that draws itself with no access to any network, also once it was saved. Pure but for the library,
which is a part of the package.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

import orjson

from reevd.views.text import line, milliseconds, parameters, percent

LIBRARY = "vendor/mermaid.tiny.js"
MOST_ROWS = 500
STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --good: #1a7f37 }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #6fdd8b } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 }
.status { font-weight: 600 } .Completed { color: var(--good) } .Failed, .Timeout { color: var(--bad) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 1rem 0 }
dt { opacity: .65 } dd { margin: 0; overflow-wrap: anywhere }
#drawing { overflow-x: auto; text-align: center; border: 1px solid var(--line); border-radius: .5rem; padding: 1rem }
#drawing svg { max-width: 100%; height: auto }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-top: 1px solid var(--line) }
td { overflow-wrap: anywhere } td.number { text-align: right; white-space: nowrap } .error { color: var(--bad) }
@media print { #drawing { border: 0 } details { display: none } }
"""
DRAW = """
const source = JSON.parse(document.getElementById("source").textContent);
const drawing = document.getElementById("drawing");
mermaid.initialize({
  startOnLoad: false, securityLevel: "strict", maxTextSize: 1000000, maxEdges: 5000,
  ...(matchMedia("(prefers-color-scheme: dark)").matches
    ? { theme: "dark", themeVariables: { edgeLabelBackground: "#121212" } }
    : { theme: "neutral" }),
});
mermaid.render("flow", source).then(({ svg }) => {
  drawing.innerHTML = svg;
  drawing.dataset.drawn = "yes";
}, (error) => {
  const text = document.createElement("pre");
  text.textContent = `The diagram cannot be drawn: ${error.message}\\n\\n${source}`;
  drawing.replaceChildren(text);
  drawing.dataset.drawn = "no";
});
"""


def page(session_id: str, diagram: str, facts: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> str:
    """The whole page, some 2.6 MB of which are the library."""
    library = files("reevd.views").joinpath(LIBRARY).read_text("utf-8")
    scripts = " ".join(f"'sha256-{_sum(text)}'" for text in (library, DRAW))
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; script-src {scripts}"
    benchmark, status = escape(line(facts["benchmark_id"])), escape(facts["status"])
    source = orjson.dumps(diagram).decode().replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{benchmark}: {status}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{benchmark} <span class="status {status}">{status}</span></h1>
<dl>{_facts(session_id, facts)}</dl>
<div id="drawing" role="img" aria-label="the flow of the run; its text is below">It is being drawn.</div>
{_table(calls)}
<details><summary>The diagram as text</summary><pre>{escape(diagram)}</pre></details>
<script type="application/json" id="source">{source}</script>
<script>{library}</script>
<script>{DRAW}</script>
</body>
</html>
"""


def _sum(text: str) -> str:
    """As a Content-Security-Policy names a script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(session_id: str, facts: Mapping[str, Any]) -> str:
    rows = {
        "execution": session_id,
        "agent": facts["agent_type"],
        "score": percent(facts["score"]),
        "why": facts["error_message"],
        "began": facts["started_at"],
        "ended": facts["ended_at"],
        "took": milliseconds(facts["execution_time_ms"]),
        "drawn": facts["message"],
    }
    return "".join(f"<dt>{name}</dt><dd>{escape(line(value))}</dd>" for name, value in rows.items() if value)


def _table(calls: Sequence[Mapping[str, Any]]) -> str:
    if not calls:
        return ""
    rows = "".join(map(_row, range(1, len(calls) + 1), calls[:MOST_ROWS]))
    heads = "".join(f"<th scope='col'>{name}</th>" for name in ("#", "tool", "status", "took", "parameters", "error"))
    more = f"<p>and {len(calls) - MOST_ROWS:,} more</p>" if len(calls) > MOST_ROWS else ""
    return f"<h2>Tool calls</h2><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _row(number: int, call: Mapping[str, Any]) -> str:
    cells = (
        f"<td class='number'>{number}</td>",
        f"<td>{escape(line(call['tool_name'], 100))}</td>",
        f"<td>{escape(line(call['status'], 20))}</td>",
        f"<td class='number'>{milliseconds(call.get('duration_ms'))}</td>",
        f"<td>{escape(parameters(call.get('params')))}</td>",
        f"<td class='error'>{escape(line(call.get('error_message') or ''))}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"
