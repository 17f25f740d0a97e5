"""Keys stay with their service: in no file that a run leaves, and in nothing that it prints, whatever comes back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests import forked
from tests.integration.test_services import Written, serving
from tests.jupiter_server import jupiter

KEY, PASSWORD, IN_PATH, IN_QUERY = "sk-of-the-header", "of-the-userinfo", "0123456789-of-the-path", "of-the-query"
SECRETS = (KEY, PASSWORD, IN_PATH, IN_QUERY)
ECHO = f"you sent {KEY} and {PASSWORD} to /{IN_PATH}?key={IN_QUERY}"
TALK = {"content": ECHO, "tool_calls": [{"id": "a", "function": {"name": ECHO, "arguments": json.dumps({"b": ECHO})}}]}
REFUSED: Written = (401, {"error": {"message": ECHO}})


def secret(address: str) -> str:
    return f"{address.replace('://', f'://me:{PASSWORD}@')}/{IN_PATH}/{KEY}?key={IN_QUERY}"


def run(home: Path, case: str, *arguments: str, **environ: str) -> tuple[int, str]:
    """The exit status, and all that can be read of the run afterwards."""
    words = (f"benchmarks/{case}.yml", "--execution-id", "it", "--json", "--sessions-dir", home, *arguments)
    done = forked.run(*words, environ={**os.environ, "REEV_RETRY_SECONDS": "0", **environ})
    files = {path.name: path.read_text() for path in home.iterdir()}
    assert sorted(files) == ["enhanced_otel_it.jsonl", "session_it.json"]
    return done.returncode, "\n".join([done.stdout, done.stderr, *files.values()])


def kept(told: str) -> list[str]:
    return [each for each in SECRETS if each in told]


@pytest.mark.parametrize(
    ("status", "written"),
    [
        (3, [REFUSED]),
        (3, [(500, ECHO.encode())]),
        (3, [(200, ECHO.encode())]),
        (1, [(200, {"choices": [{"message": TALK}]}), (200, {"choices": [{"message": {"content": ECHO}}]})]),
    ],
    ids=["refusal", "failure", "no JSON", "the model's own words"],
)
def test_of_a_model(status: int, written: list[Any], tmp_path: Path) -> None:
    with serving() as server:
        server.say(*written)
        environ = {"ZAI_API_KEY": KEY, "ZAI_API_URL": secret(server.address)}
        found, told = run(tmp_path, "001-sol-transfer", "--agent", "glm-4.6", **environ)
    assert found == status, told
    assert "you sent *** and *** to /***?key=***" in told
    assert kept(told) == []


def test_of_a_chain(tmp_path: Path) -> None:
    with serving() as server:
        server.say(REFUSED)
        found, told = run(tmp_path, "001-sol-transfer", "--rpc-url", secret(server.address))
    assert found == 3
    assert "you sent *** and *** to /***?key=***" in told
    assert kept(told) == []


def test_of_jupiter(tmp_path: Path) -> None:
    with jupiter() as api:
        for path in ("/lend/v1/earn/positions", "/lend/v1/earn/earnings"):
            api.answers[f"/{IN_PATH}/{KEY}{path}"] = [{"token": {"address": ECHO}}]
        found, told = run(tmp_path, "114-jup-positions-and-earnings", JUPITER_API_URL=secret(api.address))
    assert found == 0, told
    assert "you sent *** and *** to /***?key=***" in told
    assert kept(told) == []
