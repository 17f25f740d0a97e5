"""The same cases over JSON-RPC as on the embedded chain, with the same results, field by field; and what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.rpc_server import endpoint

CASES = ("001-sol-transfer", "002-spl-transfer", "003-spl-transfer-fail", "004-partial-score-spl-transfer")


def run(home: Path, case: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    home.mkdir(parents=True, exist_ok=True)
    words = (f"benchmarks/{case}.yml", "--execution-id", "it", "--sessions-dir", home, *arguments)
    done = forked.run(*words, environ={**os.environ, "REEV_RETRY_SECONDS": "0.01"})
    path = home / "session_it.json"
    return done, json.loads(path.read_text()) if path.exists() else {}


def comparable(session: dict[str, Any]) -> Any:
    """What does not differ from one run to the next: keys by the names that the case gives them, no times."""
    names: dict[str, str] = {}
    for step in session["final_result"]["data"]["steps"]:
        names |= {key: name for name, key in step["observation"]["key_map"].items()}
    text = json.dumps(session)
    for key, name in names.items():
        text = text.replace(key, name)

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            timed = ("timestamp", "start_time", "end_time", "execution_time_ms", "signature", "pid", "chain")
            return {k: strip(v) for k, v in value.items() if k not in timed}
        return [strip(v) for v in value] if isinstance(value, list) else value

    return strip(json.loads(text))


@pytest.mark.parametrize("case", CASES)
def test_a_case_over_rpc_is_what_it_is_embedded(case: str, tmp_path: Path) -> None:
    embedded, expected = run(tmp_path / "embedded", case)
    with endpoint() as chain:
        over_rpc, found = run(tmp_path / "rpc", case, "--rpc-url", chain.address)
    assert over_rpc.returncode == embedded.returncode, over_rpc.stderr
    assert (expected["metadata"]["chain"], found["metadata"]["chain"]) == ("litesvm", "rpc")
    assert comparable(found) == comparable(expected)
    assert "sendTransaction" in chain.asked


def test_nobody_there(tmp_path: Path) -> None:
    done, session = run(tmp_path, CASES[0], "--rpc-url", "http://127.0.0.1:9")
    assert done.returncode == 3
    assert "Error: calling getVersion at http://127.0.0.1:9: [Errno 111] Connection refused" in done.stderr
    assert "Try: start a fork with `surfpool start`" in done.stderr
    assert session["final_result"]["error"]["kind"] == "chain"


def test_the_key_in_an_address_is_not_told(tmp_path: Path) -> None:
    done, _ = run(tmp_path, CASES[0], "--rpc-url", "http://me:SECRET@127.0.0.1:9/v2/SECRET-of-the-path?api-key=SECRET")
    assert done.returncode == 3
    assert "http://127.0.0.1:9: [Errno" in done.stderr
    assert "SECRET" not in done.stderr + "".join(file.read_text() for file in tmp_path.iterdir())


def test_a_chain_whose_accounts_cannot_be_set_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with endpoint(cheats=False) as chain:
        done, session = run(tmp_path, CASES[0], "--rpc-url", chain.address)
    assert done.returncode == 3
    assert "it does not let accounts be set" in session["final_result"]["error"]["message"]
    assert "surfpool start" in done.stderr
    assert "sendTransaction" not in chain.asked


def test_an_endpoint_that_refuses(tmp_path: Path) -> None:
    with endpoint() as chain:
        chain.answers = [200, 429, 429, 429, 429, 429]
        done, session = run(tmp_path, CASES[0], "--rpc-url", chain.address)
    assert done.returncode == 3
    assert "it answered 429 Too Many Requests: {} (5 tries)" in session["final_result"]["error"]["message"]


@pytest.mark.parametrize("address", ["nowhere-SECRET", "ftp://me:SECRET@127.0.0.1", "http://[::SECRET"])
def test_an_address_that_is_none(address: str, tmp_path: Path) -> None:
    done, _ = run(tmp_path, CASES[0], "--rpc-url", address)
    assert done.returncode == 3
    assert "Try: such as http://127.0.0.1:8899" in done.stderr
    assert "SECRET" not in done.stderr + "".join(file.read_text() for file in tmp_path.iterdir())
