"""What a model is told: the tools, the opening, the answers to its calls; and where each agent's model is to be had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner import jupiter
from runner.agents import Task
from runner.agents.conversation import Asked, answered, opening, read
from runner.agents.language_model import SERVICES
from runner.case_file import load
from runner.tools import NAMES, Tools
from runner.tools.schema import definition

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "fixtures" / "tools.json"


def test_the_tools_are_told_of_as_ever() -> None:
    """After a wanted change: write `definition` of all of NAMES into the file, and read the difference."""
    assert json.loads(SNAPSHOT.read_text()) == [definition(tool) for tool in Tools().values()]
    assert [each["function"]["name"] for each in json.loads(SNAPSHOT.read_text())] == list(NAMES)


@pytest.mark.parametrize(
    ("agent", "environ", "model", "provider", "address", "key"),
    [
        ("glm-4.6", {}, "glm-4.6", "z.ai", "https://api.z.ai/api/paas/v4", ""),
        ("glm-4.6", {"ZAI_API_URL": "u", "ZAI_API_KEY": "k"}, "glm-4.6", "z.ai", "u", "k"),
        ("glm-4.6-coding", {}, "glm-4.6", "z.ai", "https://api.z.ai/api/coding/paas/v4", ""),
        ("glm-4.6-coding", {"GLM_CODING_API_URL": "u", "GLM_CODING_API_KEY": "k"}, "glm-4.6", "z.ai", "u", "k"),
        ("local", {}, "", "local", "http://localhost:1234/v1", ""),
        ("local", {"REEV_LOCAL_URL": "u", "REEV_LOCAL_API_KEY": "k", "REEV_LOCAL_MODEL": "m"}, "m", "local", "u", "k"),
    ],
)
def test_where_each_agent_finds_its_model(
    agent: str, environ: dict[str, str], model: str, provider: str, address: str, key: str
) -> None:
    service = SERVICES[agent](environ)
    assert (service.model, service.provider, service.address, service.key) == (model, provider, address, key)


def test_where_jupiter_is() -> None:
    assert jupiter.site({}).shown == "https://lite-api.jup.ag"
    assert str(jupiter.site({}).at("/swap/v1/quote", {"a": "b"})) == "https://lite-api.jup.ag/swap/v1/quote?a=b"
    assert str(jupiter.site({"JUPITER_API_URL": "http://h:1/x/?k=1"}).at("/y", {"a": "b"})) == "http://h:1/x/y?k=1&a=b"


def test_what_a_conversation_opens_with() -> None:
    case = load(ROOT / "benchmarks" / "002-spl-transfer.yml")
    system, user = opening(case, Task(0, "Do this.", ""))
    assert (system["role"], user["role"]) == ("system", "user")
    assert "USER_WALLET_PUBKEY" in system["content"]
    prompt, _, accounts = user["content"].partition("\n\nThe accounts, as they stand:\n")
    assert prompt == "Do this."
    told = json.loads(accounts)
    assert [each["name"] for each in told] == [each.pubkey for each in case.initial_state]
    (held,) = (each for each in told if each["name"] == "USER_USDC_ATA")
    assert held == {
        "name": "USER_USDC_ATA",
        "lamports": 2039280,
        "token_account_of": "USER_WALLET_PUBKEY",
        "mint": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        "amount": "50000000",
    }


def test_what_a_tool_answers_goes_to_the_model_whole() -> None:
    asked = Asked("call-7", "t", {})
    answer = answered(asked, [{"program_id": "p"}], None)
    assert (answer["role"], answer["tool_call_id"]) == ("tool", "call-7")
    assert json.loads(answer["content"]) == {"result": [{"program_id": "p"}]}
    assert json.loads(answered(asked, None, "no")["content"]) == {"error": "no"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("well", "well"),
        ([{"type": "text", "text": "we"}, {"type": "text", "text": "ll"}, {"type": "image"}, 5], "well"),
        ([], None),
        (None, None),
        (5, None),
    ],
)
def test_the_words_of_a_model_in_whichever_form(content: object, text: str | None) -> None:
    assert read({"content": content}, 0) == ({"role": "assistant", "content": text}, [])
