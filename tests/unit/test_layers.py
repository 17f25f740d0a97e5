"""The architecture, as a test: imports go downwards only, and what decides knows neither disk nor clock."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT

# Lowest first. A module may import from the lines above its own, never from its own line or below.
LAYERS = (
    "__init__",
    "origin owners",
    "errors model fingerprint bounds health exposition views.terminal",
    "times names agenda yaml_text case",
    "session_file",
    "otel_file catalog history",
    "derive",
    "reading",
    "change",
    "feed.outcome feed.address",
    "option",
    "weigh record files lock clock journal notify link log config database schema mount room memory background",
    "feed.keeper feed.outbox",
    "tail watch listener statements endings",
    "store",
    "successor",
    "transcript",
    "reader lookout rescan inspection checkpoint forget compaction",
    "look",
    "first_look",
    "scout readahead",
    "restore",
    "reconciler survey rewriting",
    "books",
    "removal",
    "patrol",
    "engine",
    "retention",
    "runs.job runs.redact",
    "runs.spool runs.launch",
    "feed.source feed.spans feed.sending",
    "feed.followers",
    "feed.follow",
    "runs.process runs.agents",
    "runs.porter runs.carried",
    "runs.executor",
    "runs.requests",
    "meters",
    "verify restoring desk presence",
    "assembly",
    "daemon",
    "views.text views.tree views.base58 views.programs views.calls",
    "views.accounts views.layout views.chain_log",
    "views.instruction views.token_program views.native_programs views.jupiter",
    "views.meaning views.steps",
    "views.action views.cause views.judgement",
    "views.observation views.tools",
    "views.trace",
    "views.transactions",
    "views.flow",
    "views.mermaid views.page",
    "analysis.rates",
    "analysis.comparison analysis.performance analysis.flakiness",
    "api.rows api.census",
    "api.query",
    "api.questions api.changes api.values api.tallies api.traffic",
    "api.hub",
    "api.answers",
    "api.gate api.cork",
    "api.service",
    "api.connection",
    "api.executions api.benchmarks api.host api.control api.events api.logs api.flows api.analytics",
    "api.document api.metrics api.backup",
    "api.app",
    "api.serve",
    "ctl.render ctl.client ctl.commands",
    "ctl.shell ctl.checkup",
    "ctl.moment",
    "ctl.usage ctl.stream ctl.sheets ctl.unit",
    "ctl.executions ctl.host ctl.watch ctl.traces ctl.flows ctl.analytics ctl.benchmarks ctl.export ctl.completion",
    "ctl.doctor ctl.backup",
    "ctl.runs",
    "ctl.main",
    "ctl.__main__",
    "cli",
)
PURE = (
    "errors",
    "model",
    "fingerprint",
    "bounds",
    "health",
    "times",
    "names",
    "agenda",
    "case",
    "session_file",
    "otel_file",
    "history",
    "derive",
    "reading",
    "change",
    "weigh",
    "views.accounts",
    "views.action",
    "views.base58",
    "views.calls",
    "views.cause",
    "views.chain_log",
    "views.instruction",
    "views.flow",
    "views.judgement",
    "views.mermaid",
    "views.page",
    "views.jupiter",
    "views.layout",
    "views.meaning",
    "views.native_programs",
    "views.observation",
    "views.programs",
    "views.steps",
    "views.terminal",
    "views.text",
    "views.token_program",
    "views.tools",
    "views.trace",
    "views.transactions",
    "views.tree",
    "ctl.moment",
    "ctl.render",
    "analysis.rates",
    "analysis.comparison",
    "analysis.performance",
    "analysis.flakiness",
    "runs.job",
    "api.gate",
    "runs.redact",
    "feed.address",
    "feed.outcome",
    "feed.spans",
)
IO = (
    "os",
    "sys",
    "time",
    "socket",
    "select",
    "subprocess",
    "threading",
    "pathlib",
    "shutil",
    "tempfile",
    "fcntl",
    "signal",
    "asyncio",
    "apsw",
    "structlog",
    "random",
    "watchdog",
    "uvicorn",
    "starlette",
    "yaml",
)
LONGEST = 250


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Full names of what a module imports, also within functions; not what only the type checker sees."""
    names: set[str] = set()
    skipped = [
        node for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]  # fmt: skip
    unseen = {id(inner) for node in skipped for inner in ast.walk(node)}
    for node in ast.walk(ast.parse(path.read_text())):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def name_of(path: Path) -> str:
    """`api.query` for reevd/api/query.py; a package goes by its own name."""
    return ".".join(path.relative_to(ROOT / "reevd").with_suffix("").parts).removesuffix(".__init__")


def level(module: str) -> int:
    (found,) = (number for number, names in enumerate(LAYERS) if module in names.split())
    return found


@pytest.mark.parametrize("path", modules("reevd"), ids=name_of)
def test_imports_go_downwards(path: Path) -> None:
    known = {name for names in LAYERS for name in names.split()}
    module = name_of(path)
    if path.name == "__init__.py":
        assert not imported(path), f"{module} imports something: a package is its docstring"
        return
    assert module in known, f"{module} has no place in LAYERS"
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] != "runner", f"{module} imports {name}: the files are the contract"
        if parts[0] != "reevd":
            continue
        target = next((t for t in (".".join(parts[1:3]), parts[1]) if t in known), "__init__")
        assert level(target) < level(module), f"{module} imports {target}, which is not below it"


@pytest.mark.parametrize("path", modules("runner"), ids=lambda path: path.stem)
def test_the_runner_knows_nothing_of_the_daemon(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] == "reevd"}


def test_a_run_that_asks_nobody_loads_no_http() -> None:
    """It would take as long as the run."""
    loaded = "runner.execute, runner.telemetry, runner.needs, runner.chain.litesvm"
    code = f"import sys, {loaded}; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", PURE)
def test_what_decides_is_pure(name: str) -> None:
    touched = {part.split(".")[0] for part in imported(ROOT / "reevd" / f"{name.replace('.', '/')}.py")} & set(IO)
    assert not touched, f"{name} touches {touched}"


def test_files_stay_readable() -> None:
    sizes = {path: len(path.read_text().splitlines()) for package in ("reevd", "runner") for path in modules(package)}
    longest = max(sizes, key=lambda path: sizes[path])
    print(f"longest {longest.name} {sizes[longest]}, median {statistics.median(sizes.values()):g}, {len(sizes)} files")
    assert sizes[longest] <= LONGEST, longest
