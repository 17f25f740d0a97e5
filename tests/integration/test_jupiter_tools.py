"""The tools that ask Jupiter: what they ask, what they make of the answer, and what they refuse to believe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.keys import Keys
from runner.tools import Answer, Bench, ToolError, Tools
from runner.tools.parameters import read
from tests.jupiter_server import SHARES, SOL, USDC, Jupiter, jupiter, lamports

USER = "7EcDhSYGxXyscszYEp35KHN8vvw3svAuLKTzXwCFLtV"
BENCH: Any = Bench(None, Keys({}, {}, USER))  # type: ignore[arg-type]
POSITIONS, EARNINGS = "/lend/v1/earn/positions", "/lend/v1/earn/earnings"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Jupiter]:
    with jupiter() as made:
        monkeypatch.setenv("JUPITER_API_URL", made.address)
        monkeypatch.setenv("REEV_RETRY_SECONDS", "0")
        yield made


def call(name: str, **arguments: Any) -> Answer:
    tool = Tools()[name]
    return tool.call(read(tool.parameters, arguments, str), BENCH)


def swap(**changes: Any) -> Answer:
    return call("jupiter_swap", **{"user_pubkey": USER, "input_mint": SOL, "output_mint": USDC, "amount": 5} | changes)


def test_a_swap_asks_for_half_a_percent_where_nothing_is_said(api: Jupiter) -> None:
    swap()
    assert api.asked[0] == (
        "/swap/v1/quote",
        {"inputMint": SOL, "outputMint": USDC, "amount": "5", "slippageBps": "50"},
    )


def test_a_swaps_parts_are_in_the_order_in_which_they_are_to_be_executed(api: Jupiter) -> None:
    parts = ["computeBudgetInstructions", "setupInstructions", "swapInstruction", "cleanupInstruction"]
    told: dict[str, Any] = {name: lamports(USER, n) for n, name in enumerate(parts)}
    told |= {"otherInstructions": [lamports(USER, 4), lamports(USER, 5)], "addressLookupTableAddresses": [USDC, SOL]}
    told["setupInstructions"] = [told["setupInstructions"], lamports(USER, 9)]
    api.answers["/swap/v1/swap-instructions"] = dict(reversed(told.items()))
    found = swap().instructions
    assert [each.data[4] for each in found] == [0, 1, 9, 2, 3, 4, 5]
    assert {each.lookup_tables for each in found} == {(USDC, SOL)}


@pytest.mark.parametrize(
    ("wanted", "paths", "members"),
    [
        ("positions", [POSITIONS], ["positions"]),
        ("earnings", [POSITIONS, EARNINGS], ["earnings"]),
        ("both", [POSITIONS, EARNINGS], ["positions", "earnings"]),
    ],
)
def test_positions_and_earnings(wanted: str, paths: list[str], members: list[str], api: Jupiter) -> None:
    found = call("get_jupiter_lend_earn_position", user_pubkey=USER, position_type=wanted)
    assert list(found.result) == members
    assert [path for path, _ in api.asked] == paths
    assert api.asked[0][1] == {"users": USER}
    if EARNINGS in paths:
        assert api.asked[1][1] == {"user": USER, "positions": f"{SHARES[USDC]},{SHARES[SOL]}"}
        assert found.result["earnings"] == [{"earnings": 7}]


def test_the_tokens_that_can_be_lent(api: Jupiter) -> None:
    found = call("get_jupiter_lend_earn_tokens")
    assert found == Answer([{"address": SHARES[USDC], "assetAddress": USDC}])
    assert api.asked == [("/lend/v1/earn/tokens", {})]


@pytest.mark.parametrize("answer", [b"null", 5, {"a": 1}, b'"text"', b"[", 404])
def test_a_list_that_is_none_is_refused(answer: Any, api: Jupiter) -> None:
    for path, name, arguments in (
        (POSITIONS, "get_jupiter_lend_earn_position", {"user_pubkey": USER}),
        ("/lend/v1/earn/tokens", "get_jupiter_lend_earn_tokens", {}),
    ):
        api.answers[path] = answer
        with pytest.raises(ToolError):
            call(name, **arguments)


def test_odd_positions_are_left_out_of_the_question_for_earnings(api: Jupiter) -> None:
    odd: list[Any] = [{"token": "address"}, {"token": {"address": 5}}, {}, 5, None, {"token": {"address": USDC}}]
    api.answers[POSITIONS] = odd
    assert call("get_jupiter_lend_earn_position", user_pubkey=USER).result["positions"] == odd
    assert api.asked[1][1]["positions"] == USDC


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        ("/swap/v1/quote", [1], "without a quote"),
        ("/swap/v1/quote", b"null", "no JSON"),
        ("/swap/v1/swap-instructions", [1], "without a swap"),
        ("/swap/v1/swap-instructions", {"swapInstruction": 5}, "cannot be read"),
        ("/swap/v1/swap-instructions", {"swapInstruction": lamports(USER, 1) | {"data": 5}}, "cannot be read"),
        ("/swap/v1/swap-instructions", {"swapInstruction": lamports(USER, 1) | {"programId": 5}}, "cannot be read"),
        (
            "/swap/v1/swap-instructions",
            {"swapInstruction": lamports(USER, 1) | {"accounts": [{"pubkey": SOL, "isSigner": "no", "isWritable": 1}]}},
            "are true or false",
        ),
        (
            "/swap/v1/swap-instructions",
            {"swapInstruction": lamports(USER, 1), "addressLookupTableAddresses": [5]},
            "lookup table that is no address",
        ),
    ],
)
def test_a_swap_that_cannot_be_read_is_refused(path: str, answer: Any, says: str, api: Jupiter) -> None:
    api.answers[path] = answer
    with pytest.raises(ToolError, match=says):
        swap()
