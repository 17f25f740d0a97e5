"""Every case of benchmarks/, played where this machine can, refused with the way out where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import forked
from tests.harness import ROOT
from tests.jupiter_server import SOL, USDC, jupiter
from tests.rpc_server import MAINNET, endpoint

CASES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "benchmarks").glob("*.yml"))}
EMBEDDED = [name for name, case in CASES.items() if not case.get("needs")]
ELSEWHERE = [name for name, case in CASES.items() if "mainnet" in case.get("needs", ())]
USER, OTHER, THIRD = "USER_WALLET_PUBKEY", "RECIPIENT_WALLET_PUBKEY", "SECOND_WALLET_PUBKEY"
SYSTEM = "11111111111111111111111111111111"


def run(
    home: Path, case: Path | str, *arguments: str, **environ: str
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    path = case if isinstance(case, Path) else ROOT / "benchmarks" / f"{case}.yml"
    environ = {**os.environ, "REEV_RETRY_SECONDS": "0.01", **environ}
    done = forked.run(path, "--sessions-dir", home, "--execution-id", "it", *arguments, environ=environ)
    session = home / "session_it.json"
    return done, json.loads(session.read_text()) if session.exists() else {}


def test_all_cases_are_valid() -> None:
    done = forked.run("benchmarks", "--validate")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok ") == len(CASES)
    for number in ("001", "002", "003", "004", "100", *map(str, range(110, 117)), "200"):
        assert any(name.startswith(number) for name in CASES)


def test_one_that_is_not_valid_is_named_with_line_and_field(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text((ROOT / "benchmarks" / "001-sol-transfer.yml").read_text())
    (tmp_path / "bad.yml").write_text("id: bad\ninitial_state: []\nprompt: x\nground_truth: {}\n")
    needy = (ROOT / "benchmarks" / "100-jup-swap-sol-usdc.yml").read_text()
    (tmp_path / "needy.yml").write_text(needy)
    (tmp_path / "needy-too.yml").write_text(needy)
    done = forked.run(tmp_path, "--validate", "--json")
    assert done.returncode == 2
    bad, good, first, second = map(json.loads, done.stdout.splitlines())
    assert (first["valid"], first["needs"], good["needs"]) == (True, ["mainnet", "jupiter"], [])
    assert (second["valid"], second["field"]) == (False, "id")
    assert "is the id of" in second["why"]
    assert (bad["valid"], bad["line"], bad["field"]) == (False, 2, "initial_state")
    assert (good["valid"], good["benchmark_id"]) == (True, "001-sol-transfer")


@pytest.mark.parametrize("name", EMBEDDED)
def test_deterministic_plays_the_ground_truth(name: str, tmp_path: Path) -> None:
    done, session = run(tmp_path, name)
    wanted = CASES[name]["ground_truth"].get("min_score")
    result = session["final_result"]
    if wanted is not None:
        assert result["score"] == wanted, done.stdout
    if wanted == 1.0:
        assert done.returncode == 0
        assert all(verdict["passed"] for verdict in session["metadata"]["assertions"])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_needs_the_main_chain_is_refused_before_it_starts(name: str, tmp_path: Path) -> None:
    done, session = run(tmp_path, name)
    assert done.returncode == 3
    assert "it needs the programs of the main chain" in session["final_result"]["error"]["message"]
    assert "surfpool start" in done.stderr
    assert session["final_result"]["tools"] == []


def test_what_nobody_waits_for_leaves_nothing_where_it_is_refused(tmp_path: Path) -> None:
    """It would count against the agent, which has done nothing yet."""
    home, cases = tmp_path / "sessions", tmp_path / "cases"
    cases.mkdir()
    for name in ("001-sol-transfer", "100-jup-swap-sol-usdc"):
        (cases / f"{name}.yml").write_text((ROOT / "benchmarks" / f"{name}.yml").read_text())
    alone = forked.run(cases / "100-jup-swap-sol-usdc.yml", "--sessions-dir", home)
    assert (alone.returncode, os.listdir(home)) == (3, [])
    assert alone.stderr.startswith("Error: running 100-jup-swap-sol-usdc: it needs the programs of the main chain")
    assert "Try: surfpool start" in alone.stderr
    both = forked.run(cases, "--sessions-dir", home, "--json")
    assert both.returncode == 3
    assert sorted(json.loads(path.read_text())["benchmark_id"] for path in home.glob("session_*")) == [
        "001-sol-transfer"
    ]
    played, refused, _ = map(json.loads, both.stdout.splitlines())
    assert (played["success"], refused["success"], refused["error"]["kind"]) == (True, False, "chain")
    assert both.stderr.count("it needs the programs of the main chain") == 1


def test_what_needs_jupiter_is_refused_where_it_cannot_be_reached(tmp_path: Path) -> None:
    done, session = run(tmp_path, "114-jup-positions-and-earnings")
    assert done.returncode == 3
    assert "it needs Jupiter's API at http://127.0.0.1:9" in session["final_result"]["error"]["message"]
    assert "JUPITER_API_URL" in done.stderr


# -- flows ---------------------------------------------------------------------------------------------------


REFUSED = {"tool_name": "get_account_balance", "params": {"pubkey": USER, "account_type": "token"}}


def flow(home: Path, *steps: dict[str, Any], **truth: Any) -> Path:
    """A case with these steps, each a transfer of so many lamports (`amount`; None: a call that its tool refuses)."""
    wallets = [{"pubkey": USER, "owner": SYSTEM, "lamports": 1_000_000_000}]
    wallets += [{"pubkey": name, "owner": SYSTEM, "lamports": 0} for name in (OTHER, THIRD)]
    calls, told = [], []
    for number, step in enumerate(steps, 1):
        amount = step.pop("amount")
        params = {"user_pubkey": USER, "recipient_pubkey": OTHER, "amount": amount}
        called = {"tool_name": "sol_transfer", "params": params} if amount is not None else REFUSED
        calls.append({**called, "step": number})
        told.append({"step": number, "prompt": f"step {number}", **step})
    truth = {"final_state_assertions": [], "skip_instruction_validation": True, "tool_calls": calls, **truth}
    path = home / "flow.yml"
    path.write_text(
        json.dumps({"id": "flow", "initial_state": wallets, "prompt": "x", "flow": told, "ground_truth": truth})
    )
    return path


GOOD, TOO_MUCH = 10_000_000, 5_000_000_000


def told(session: dict[str, Any]) -> list[str]:
    return [step["info"]["status"] for step in session["final_result"]["data"]["steps"]]


def test_each_step_is_told_of(tmp_path: Path) -> None:
    done, session = run(tmp_path, flow(tmp_path, {"amount": GOOD}, {"amount": GOOD, "depends_on": [1]}))
    assert done.returncode == 0, done.stdout
    assert told(session) == ["Succeeded", "Succeeded"]
    lines = (tmp_path / "enhanced_otel_it.jsonl").read_text().splitlines()
    names = [e["metadata"]["step_name"] for e in map(json.loads, lines) if e["event_type"] == "StepComplete"]
    assert names == ["step_1", "step_2"]
    prompts = [event for event in map(json.loads, lines) if event["event_type"] == "Prompt"]
    assert [(e["prompt"]["user_prompt"], e["metadata"].get("step_name")) for e in prompts] == [
        ("x", None),
        ("step 1", "step_1"),
        ("step 2", "step_2"),
    ]


def steps_in_telemetry(home: Path) -> list[tuple[str, str]]:
    events = map(json.loads, (home / "enhanced_otel_it.jsonl").read_text().splitlines())
    return [(e["metadata"]["step_name"], e["metadata"]["status"]) for e in events if e["event_type"] == "StepComplete"]


def test_steps_of_the_same_words_are_still_two(tmp_path: Path) -> None:
    done, session = run(
        tmp_path, flow(tmp_path, {"amount": GOOD, "prompt": "pay"}, {"amount": 2 * GOOD, "prompt": "pay"})
    )
    assert done.returncode == 0, done.stdout
    states = session["final_result"]["data"]["steps"][-1]["observation"]["account_states"]
    assert states[OTHER]["lamports"] == 3 * GOOD


def test_the_step_in_which_a_run_breaks_is_told_of(tmp_path: Path) -> None:
    done, session = run(tmp_path, flow(tmp_path, {"amount": GOOD}, {"amount": None}, {"amount": GOOD}))
    assert done.returncode == 3
    assert told(session) == ["Succeeded", "Failed"]
    assert "get_account_balance refused" in session["final_result"]["data"]["steps"][1]["info"]["reason"]
    assert steps_in_telemetry(tmp_path) == [("step_1", "Succeeded"), ("step_2", "Failed")]


def test_a_critical_step_that_fails_ends_the_flow(tmp_path: Path) -> None:
    done, session = run(tmp_path, flow(tmp_path, {"amount": TOO_MUCH}, {"amount": GOOD}))
    assert done.returncode == 1
    assert told(session) == ["Failed", "Skipped"]
    assert session["final_result"]["data"]["steps"][1]["info"]["reason"] == "step 1 is critical, and failed"
    assert session["final_result"]["error"]["message"].startswith("step 1: Error processing Instruction 0")
    assert steps_in_telemetry(tmp_path) == [("step_1", "Failed")]


def test_one_that_is_not_critical_does_not_but_who_depends_on_it_is_left_out(tmp_path: Path) -> None:
    steps = [{"amount": TOO_MUCH, "critical": False}, {"amount": GOOD, "critical": False, "depends_on": [1]}]
    done, session = run(tmp_path, flow(tmp_path, *steps, {"amount": GOOD}))
    assert done.returncode == 0, done.stdout
    assert told(session) == ["Failed", "Skipped", "Succeeded"]
    assert "it depends on step 1, which failed" in session["final_result"]["data"]["steps"][1]["info"]["reason"]


def test_criteria_decide_where_there_are_some(tmp_path: Path) -> None:
    steps = [{"amount": GOOD}, {"amount": TOO_MUCH, "critical": False}]
    both = [{"type": "steps_completed", "required": 2}]
    assert run(tmp_path, flow(tmp_path, *map(dict, steps), success_criteria=both))[0].returncode == 1
    (tmp_path / "session_it.json").unlink()
    one = [{"type": "steps_completed", "required": 1}, {"type": "tool_called", "tool_name": "sol_transfer"}]
    assert run(tmp_path, flow(tmp_path, *map(dict, steps), success_criteria=one))[0].returncode == 0


def test_the_chains_share_is_that_of_the_last_transaction(tmp_path: Path) -> None:
    steps = [{"amount": GOOD}, {"amount": TOO_MUCH, "critical": False}]
    done, session = run(tmp_path, flow(tmp_path, *map(dict, steps)))
    assert (done.returncode, session["metadata"]["score"]["onchain"], session["final_result"]["score"]) == (0, 0.0, 0.0)
    (tmp_path / "session_it.json").unlink()
    other = [{"amount": TOO_MUCH, "critical": False}, {"amount": GOOD}]
    done, session = run(tmp_path, flow(tmp_path, *other))
    assert (done.returncode, session["metadata"]["score"]["onchain"], session["final_result"]["score"]) == (0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("case", "changed", "kind", "why"),
    [
        ("004", ("min_score: 0.5", "min_score: 0.9"), "agent", "its score is 0.5, and the case wants 0.9 at least"),
        ("001", ("status: Success", "status: Failure"), "transaction", "the case wants one that fails"),
    ],
)
def test_what_the_ground_truth_wants_decides(
    tmp_path: Path, case: str, changed: tuple[str, str], kind: str, why: str
) -> None:
    (file,) = (ROOT / "benchmarks").glob(f"{case}-*.yml")
    text = file.read_text()
    assert text.count(changed[0]) == 1
    (tmp_path / "it.yml").write_text(text.replace(*changed))
    done, session = run(tmp_path, tmp_path / "it.yml")
    final = session["final_result"]
    assert (done.returncode, final["success"], final["status"], final["error"]["kind"]) == (1, False, "Failed", kind)
    assert why in final["error"]["message"]
    assert final["score"] == (0.5 if case == "004" else 1.0)


def test_an_assertion_that_fails_is_told(tmp_path: Path) -> None:
    text = (ROOT / "benchmarks" / "001-sol-transfer.yml").read_text()
    (tmp_path / "it.yml").write_text(text.replace("899995000", "5"))
    done, session = run(tmp_path, tmp_path / "it.yml")
    assert "not as asserted: SolBalance of USER_WALLET_PUBKEY should be 5, and is 899995000" in done.stdout
    assert done.stdout.count("not as asserted") == 1
    (tmp_path / "session_it.json").unlink()
    done, session = run(tmp_path, tmp_path / "it.yml", "--json")
    assert json.loads(done.stdout)["assertions"] == session["metadata"]["assertions"]


def test_the_limit_of_the_run_holds_after_that_of_a_step(tmp_path: Path) -> None:
    path = flow(tmp_path, {"amount": GOOD, "timeout": 0.3, "critical": False}, {"amount": GOOD, "prompt": "step 1"})
    done, session = run(tmp_path, path, "--agent", "stuck", "--timeout", "1.5")
    final = session["final_result"]
    assert (done.returncode, final["error"]["kind"]) == (124, "timeout")
    assert final["error"]["message"] == "the run took longer than its limit of 1.5 s"
    assert final["execution_time_ms"] >= 1500


def test_a_step_has_a_limit_of_its_own_and_the_run_goes_on(tmp_path: Path) -> None:
    path = flow(tmp_path, {"amount": GOOD, "timeout": 0.3, "critical": False}, {"amount": GOOD})
    done, session = run(tmp_path, path, "--agent", "stuck")
    assert done.returncode == 0, done.stderr
    assert told(session) == ["Failed", "Succeeded"]
    assert "longer than its limit of 0.3 s" in session["final_result"]["data"]["steps"][0]["info"]["reason"]


# -- Jupiter -------------------------------------------------------------------------------------------------


QUOTE = {"outAmount": "1", "routePlan": []}
LENDING = "/lend/v1/earn"


def swap_asked(amount: str) -> list[tuple[str, dict[str, Any]]]:
    quote = {"inputMint": SOL, "outputMint": USDC, "amount": amount, "slippageBps": "100"}
    body = {"userPublicKey": USER, "quoteResponse": {"inAmount": amount, **QUOTE}, "wrapAndUnwrapSol": True}
    return [("/swap/v1/quote", quote), ("/swap/v1/swap-instructions", body)]


def lend_asked(operation: str, asset: str, **how_much: str) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{LENDING}/{operation}-instructions", {"asset": asset, "signer": USER, **how_much})]


ASKED = {
    "100": swap_asked("100000000"),
    "110": lend_asked("deposit", SOL, amount="100000000"),
    "111": lend_asked("deposit", USDC, amount="50000000"),
    "112": lend_asked("withdraw", SOL, amount="100000000"),
    "113": lend_asked("withdraw", USDC, amount="50000000"),
    "115": lend_asked("mint", USDC, shares="50000000"),
    "116": lend_asked("redeem", USDC, shares="50000000"),
    "200": [*swap_asked("500000000"), *lend_asked("deposit", USDC, amount="10000000")],
}


def by_name(asked: list[tuple[str, dict[str, Any]]], keys: dict[str, str]) -> Any:
    """With the user's key by the name that the case gives it."""
    return [tuple(each) for each in json.loads(json.dumps(asked).replace(keys[USER], USER))]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_with_a_chain_and_jupiter_it_comes_to_what_it_should(name: str, tmp_path: Path) -> None:
    with endpoint(programs=MAINNET) as chain, jupiter(chain.address) as api:
        done, session = run(tmp_path, name, "--rpc-url", chain.address, JUPITER_API_URL=api.address)
    assert done.returncode == 0, done.stdout + done.stderr
    keys = session["final_result"]["data"]["steps"][0]["observation"]["key_map"]
    assert by_name(api.asked, keys) == ASKED[name[:3]]
    assert session["final_result"]["score"] == 1.0
    assert all(call["status"] == "success" for call in session["final_result"]["tools"])
    assert [verdict for verdict in session["metadata"]["assertions"] if not verdict["passed"]] == []


@pytest.mark.parametrize("name", ELSEWHERE)
def test_where_nothing_of_it_came_about_its_assertions_say_so(name: str, tmp_path: Path) -> None:
    with endpoint(programs=MAINNET) as chain, jupiter() as api:
        _, session = run(tmp_path, name, "--rpc-url", chain.address, JUPITER_API_URL=api.address)
    assert any(not verdict["passed"] for verdict in session["metadata"]["assertions"])


@pytest.mark.parametrize(
    ("name", "programs", "missing"),
    [
        ("100-jup-swap-sol-usdc", MAINNET[1:], [MAINNET[0]]),
        ("111-jup-lend-deposit-usdc", MAINNET[:1], [MAINNET[1]]),
        ("200-jup-swap-then-lend-deposit", (), list(MAINNET)),
    ],
)
def test_a_program_that_the_chain_has_not_is_named_before_it_starts(
    name: str, programs: tuple[str, ...], missing: list[str], tmp_path: Path
) -> None:
    with endpoint(programs=programs) as chain, jupiter() as api:
        done, session = run(tmp_path, name, "--rpc-url", chain.address, JUPITER_API_URL=api.address)
    assert done.returncode == 3
    said = session["final_result"]["error"]["message"]
    assert [address for address in MAINNET if f"it needs the program {address}" in said] == missing
    assert "surfpool start" in done.stderr
    assert api.asked == []
    assert "surfnet_setAccount" not in chain.asked


@pytest.mark.parametrize("rpc", [(), ("--rpc-url", "http://127.0.0.1:9")], ids=["embedded", "nobody"])
def test_all_that_is_missing_is_named_at_once(rpc: tuple[str, ...], tmp_path: Path) -> None:
    done, session = run(tmp_path, "100-jup-swap-sol-usdc", *rpc)
    said = session["final_result"]["error"]["message"]
    assert done.returncode == 3
    assert "it needs Jupiter's API at http://127.0.0.1:9: [Errno 111] Connection refused" in said
    assert ("it needs a chain: calling getVersion" if rpc else "it needs the programs of the main chain") in said
    assert "surfpool start" in done.stderr
    assert "JUPITER_API_URL" in done.stderr


def test_a_case_that_only_reads_needs_no_chain(tmp_path: Path) -> None:
    with jupiter() as api:
        done, session = run(tmp_path, "114-jup-positions-and-earnings", JUPITER_API_URL=api.address)
    assert done.returncode == 0, done.stdout + done.stderr
    (call,) = session["final_result"]["tools"]
    assert call["result"]["positions"][0]["shares"] == "5"
    assert call["result"]["earnings"] == [{"earnings": 7}]
    assert session["final_result"]["score"] == 1.0
    assert session["final_result"]["data"]["steps"][0]["observation"]["last_transaction_error"] is None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (500, "it answered 500"),
        ({"setupInstructions": []}, "answered without a swap"),
        ({"swapInstruction": {"programId": "x"}}, "an instruction that cannot be read"),
        ({"swapInstruction": {"programId": "x", "accounts": [], "data": ""}}, "a key is no address"),
    ],
)
def test_what_jupiter_answers_is_not_believed_blindly(tmp_path: Path, answer: Any, says: str) -> None:
    with endpoint(programs=MAINNET) as chain, jupiter() as api:
        api.answers["/swap/v1/swap-instructions"] = answer
        done, session = run(tmp_path, "100-jup-swap-sol-usdc", "--rpc-url", chain.address, JUPITER_API_URL=api.address)
    assert done.returncode == 3
    assert says in session["final_result"]["tools"][0]["error_message"]
