"""Cases: the written ones load, and an error names file, line and field."""

import os
from pathlib import Path

import pytest

from runner import base58
from runner.case import Criterion, Derivation, SolBalanceChange, TokenAccountBalance
from runner.case_file import load, parse
from runner.case_folder import find
from runner.errors import CaseError, UsageError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"

# Line numbers count from 1, the first line being `id`.
VALID = f"""\
id: 900-everything
description: every field of the schema
tags: [one, two]
initial_state:
  - pubkey: USER_WALLET_PUBKEY
    owner: "{SYSTEM}"
    lamports: 1000
  - pubkey: USER_USDC_ATA
    owner: {TOKEN}
    lamports: 2039280
    data: {{ mint: {USDC}, owner: USER_WALLET_PUBKEY, amount: "12" }}
prompt: Do it.
flow:
  - step: 1
    description: the first
    prompt: begin
    critical: false
  - {{ step: 2, prompt: go on, timeout: 2.5, depends_on: [1] }}
ground_truth:
  transaction_status: Failure
  min_score: 0.5
  skip_instruction_validation: yes
  success_criteria: [{{ type: steps_completed, required: 2 }}]
  final_state_assertions:
    - {{ type: SolBalanceChange, pubkey: USER_WALLET_PUBKEY, expected_change_gte: -5000, weight: 0.5 }}
    - type: TokenAccountBalance
      pubkey: RECIPIENT_USDC_ATA
      expected_gte: 3
      address_derivation: {{ type: AssociatedTokenAccount, owner: USER_WALLET_PUBKEY, mint: {USDC} }}
  expected_instructions:
    - program_id: "{SYSTEM}"
      program_id_weight: 2
      accounts:
        - {{ pubkey: USER_WALLET_PUBKEY, is_signer: true, is_writable: false, weight: 0 }}
      data: "..."
      data_weight: 3
"""


def test_every_field_is_read():
    case = parse(VALID.encode(), "x.yml")
    truth = case.ground_truth
    assert (case.id, case.tags, case.prompt, case.steps_total) == ("900-everything", ("one", "two"), "Do it.", 2)
    assert case.initial_state[1].token.amount == 12
    assert [(s.step, s.critical, s.timeout, s.depends_on) for s in case.flow] == [
        (1, False, None, ()),
        (2, True, 2.5, (1,)),
    ]
    assert (truth.transaction_status, truth.min_score, truth.skip_instruction_validation) == ("Failure", 0.5, True)
    assert truth.success_criteria == (Criterion(2, None),)
    assert truth.assertions == (
        SolBalanceChange("USER_WALLET_PUBKEY", -5000, 0.5),
        TokenAccountBalance("RECIPIENT_USDC_ATA", None, 3, Derivation("USER_WALLET_PUBKEY", USDC), 1.0),
    )
    (instruction,) = truth.instructions
    assert (instruction.data, instruction.data_weight, instruction.program_id_weight) == (None, 3.0, 2.0)
    assert instruction.accounts[0].weight == 0.0


ERRORS = [
    # what is replaced, by what, the line, the field, a part of the message
    ("id: 900-everything", "id: ../x", 1, "id", "'../x'"),
    ("id: 900-everything", "id: a/b", 1, "id", "'a/b'"),
    ("id: 900-everything\n", "", 1, "", "id is missing"),
    ("id: 900-everything", "id: 900", 1, "id", "must be text, not an integer"),
    ("tags: [one, two]", "tags: one", 3, "tags", "must be a list, not text ('one')"),
    ("    lamports: 1000\n", "    lamports: -1\n", 7, "initial_state[0].lamports", "between 0 and"),
    ("    lamports: 1000\n", "    lamports: 1.5\n", 7, "initial_state[0].lamports", "must be an integer"),
    ("    lamports: 1000\n", "    lamports: 0x10\n", 7, "initial_state[0].lamports", "decimal digits"),
    ("    lamports: 1000\n", "    lamports: 18446744073709551616\n", 7, "initial_state[0].lamports", "between 0"),
    ("    lamports: 1000\n", "    lamports:\n", 5, "initial_state[0]", "lamports is missing"),
    ("    lamports: 1000\n", "    lamports: 1\n    colour: red\n", 8, "initial_state[0].colour", "not known here"),
    ("    lamports: 1000\n", "    lamports: 1\n    lamports: 2\n", 8, "initial_state[0].lamports", "twice"),
    (f'owner: "{SYSTEM}"', "owner: system", 6, "initial_state[0].owner", "'system' is no address"),
    ("- pubkey: USER_USDC_ATA", "- pubkey: usdc", 8, "initial_state[1].pubkey", "neither an address"),
    ("- pubkey: USER_USDC_ATA", "- pubkey: USER_WALLET_PUBKEY", 8, "initial_state[1].pubkey", "twice"),
    (f"owner: {TOKEN}", f'owner: "{SYSTEM}"', 11, "initial_state[1].data", "only an account of the token program"),
    ('amount: "12"', "amount: 12", 11, "initial_state[1].data.amount", "must be text"),
    ('amount: "12"', f'amount: "{"9" * 5000}"', 11, "initial_state[1].data.amount", "digits in quotes"),
    ('amount: "12"', 'amount: "1.2"', 11, "initial_state[1].data.amount", "digits in quotes"),
    (
        "owner: USER_WALLET_PUBKEY, amount",
        "owner: USER_USDC_ATA, amount",
        11,
        "initial_state[1].data.owner",
        "derived from a token account",
    ),
    ('amount: "12"', f'amount: "{2**64}"', 11, "initial_state[1].data.amount", "digits in quotes"),
    ("step: 2", "step: 1", 18, "flow[1].step", "each higher than the one before"),
    (
        "{ step: 2, prompt: go on, timeout: 2.5, depends_on: [1] }",
        "{ step: 5, prompt: go on, timeout: 2.5, depends_on: [1, 3] }",
        18,
        "flow[1].depends_on[1]",
        "which there is not",
    ),
    ("tags: [one, two]", "tags: [one, \x07two]", 3, "", "control characters are not allowed"),
    ("    lamports: 1000\n", "    lamports: 0100\n", 7, "initial_state[0].lamports", "decimal digits, not '0100'"),
    ("critical: false", "critical: !!bool maybe", 17, "flow[0].critical", "true or false, not 'maybe'"),
    ("data_weight: 3", "data_weight: 1.0e+308", 36, "ground_truth.expected_instructions[0].data_weight", "100000"),
    ("prompt: Do it.", 'prompt: " "', 12, "prompt", "must not be empty"),
    ("depends_on: [1]", "depends_on: [2]", 18, "flow[1].depends_on[0]", "between 1 and 1"),
    ("critical: false", "critical: maybe", 17, "flow[0].critical", "must be true or false"),
    ("transaction_status: Failure", "transaction_status: Fine", 20, "ground_truth.transaction_status", "Success or"),
    ("min_score: 0.5", "min_score: 2", 21, "ground_truth.min_score", "between 0 and 1"),
    ("min_score: 0.5", "min_score: .nan", 21, "ground_truth.min_score", "between 0 and 1"),
    ("SolBalanceChange", "Balance", 25, "ground_truth.final_state_assertions[0].type", "SolBalanceChange"),
    ("weight: 0.5", "weight: -1", 25, "ground_truth.final_state_assertions[0].weight", "between 0 and 100000"),
    ("      expected_gte: 3\n", "", 26, "ground_truth.final_state_assertions[1]", "exactly one of"),
    (
        "type: AssociatedTokenAccount",
        "type: Pda",
        29,
        "ground_truth.final_state_assertions[1].address_derivation.type",
        "",
    ),
    ("is_signer: true,", "", 34, "ground_truth.expected_instructions[0].accounts[0]", "is_signer is missing"),
    ('data: "..."', 'data: "0l"', 35, "ground_truth.expected_instructions[0].data", "'0' is no base58 letter"),
    ("tags: [one, two]", "tags: [one", 4, "", "it is no YAML"),
]


def changed(old, new, text=VALID):
    assert text.count(old) == 1
    return text.replace(old, new)


def refusal(text):
    with pytest.raises(CaseError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), "cases/x.yml")
    return caught.value


@pytest.mark.parametrize(("old", "new", "line", "field", "why"), ERRORS)
def test_an_error_names_file_line_and_field(old, new, line, field, why):
    error = refusal(changed(old, new))
    assert (error.file, error.line, error.field) == ("cases/x.yml", line, field)
    assert why in str(error)
    assert f"cases/x.yml:{line}" in str(error)


def test_bytes_that_are_no_text_are_told_with_their_line():
    error = refusal(VALID.encode().replace(b"Do it.", b"Do\xff it."))
    assert error.line == 12
    assert "it is no YAML" in error.why


CALL = """\
  tool_calls:
    - tool_name: sol_transfer
      params: { user_pubkey: USER_WALLET_PUBKEY, recipient_pubkey: USER_WALLET_PUBKEY, amount: 5 }
"""
PARAMS = "{ user_pubkey: USER_WALLET_PUBKEY, recipient_pubkey: USER_WALLET_PUBKEY, amount: 5 }"


def test_a_call_is_read():
    (call,) = parse((VALID + CALL).encode(), "x.yml").ground_truth.tool_calls
    assert (call.tool_name, call.params["amount"], call.step) == ("sol_transfer", 5, 1)


@pytest.mark.parametrize(
    ("params", "field", "why"),
    [
        ("[1, 2]", "", "must be a mapping, not a list"),
        ("hello", "", "must be a mapping, not text"),
        ("!!binary aGk=", "", "must be a mapping"),
        ("12345678901234567890123", "", "must be a mapping"),
        ("!!python/x {}", "", "user_pubkey is missing"),
        ("{ user_pubkey: !!python/x {} }", ".user_pubkey", "it has no value: could not determine a constructor"),
        ("{ ? [a] : b }", "", "a key must be text"),
        ("{ 1: b }", "", "a key must be text"),
        ("{ amount: 1, amount: 2 }", ".amount", "twice"),
        ("{ user_pubkey: 2026-13-45 }", ".user_pubkey", "it has no value: month must be"),
        ("{ colour: red }", "", "sol_transfer does not take it: unknown argument colour"),
        (PARAMS.replace("USER_WALLET_PUBKEY", "NOBODY", 1), "", "'NOBODY' is neither"),
        (PARAMS.replace("5", "12345678901234567890123"), "", "amount must be a whole number"),
        (PARAMS.replace("amount: 5", "amount: .inf"), "", "amount must be a whole number"),
    ],
)
def test_a_call_that_its_tool_would_not_take_is_an_error_of_the_file(params, field, why):
    error = refusal(VALID + changed(PARAMS, params, CALL))
    assert (error.line, error.field) == (39, f"ground_truth.tool_calls[0].params{field}")
    assert why in error.why


def test_two_accounts_cannot_hold_more_than_their_mint():
    second = f"""\
  - {{ pubkey: MORE, owner: {TOKEN}, lamports: 2039280,
      data: {{ mint: {USDC}, owner: OTHER, amount: "{2**64 - 12}" }} }}
prompt: Do it."""
    error = refusal(changed("prompt: Do it.", second))
    assert (error.line, error.field) == (13, "initial_state[2].data.amount")
    assert "hold more than 18446744073709551615 in all" in error.why
    parse(changed("prompt: Do it.", second.replace(str(2**64 - 12), str(2**64 - 13))).encode(), "x.yml")


def test_two_files_cannot_hold_the_same_case(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text(VALID)
    ids = {}
    assert load(tmp_path / "a.yml", ids).id == load(tmp_path / "a.yml", ids).id
    with pytest.raises(CaseError, match=r"900-everything is the id of .*a\.yml already") as caught:
        load(tmp_path / "b.yml", ids)
    assert (caught.value.line, caught.value.field) == (1, "id")


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.yml")
    for path in (tmp_path / "x.yml", Path("/dev/zero")):
        with pytest.raises(UsageError, match="it is no plain file"):
            load(path)


def test_a_placeholder_that_nothing_declares_is_an_error():
    error = refusal(changed("- { pubkey: USER_WALLET_PUBKEY, is_signer", "- { pubkey: USER_WALET_PUBKEY, is_signer"))
    assert error.line == 34
    assert "USER_WALET_PUBKEY is not in initial_state" in error.why


def test_one_account_cannot_have_two_derivations():
    mint = "owner: USER_WALLET_PUBKEY, mint: "
    error = refusal(changed(mint + USDC, f'{mint}"{SYSTEM}"', changed("RECIPIENT_USDC_ATA", "USER_USDC_ATA")))
    assert (error.line, error.field) == (29, "ground_truth.final_state_assertions[1].address_derivation.owner")
    assert "USER_USDC_ATA is derived from one wallet" in error.why


@pytest.mark.parametrize(
    "raw", [b"", b"# nothing", b"- a\n- b", b"text", b"\xff\xfe\x00", b"a: &a [*a]", b"!!python/x {}"]
)
def test_what_is_no_case_is_an_error_of_the_file(raw):
    assert refusal(raw).line >= 1


def test_a_huge_file_is_refused():
    assert "more than" in refusal(b" " * (1 << 20) + b"x").why


def test_a_file_nested_without_end_is_refused():
    assert refusal(b"[" * 100_000).why == "it is nested too deeply"


def test_the_written_cases_load_and_are_named_as_their_files():
    files = find(BENCHMARKS)
    assert [file.stem for file in files][:4] == [
        "001-sol-transfer",
        "002-spl-transfer",
        "003-spl-transfer-fail",
        "004-partial-score-spl-transfer",
    ]
    for file in files:
        assert load(file).id == file.stem


def test_find_refuses_what_holds_no_case(tmp_path):
    with pytest.raises(UsageError, match="it holds no"):
        find(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        find(tmp_path / "x.yml")
    with pytest.raises(UsageError, match="name too long"):
        find(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("raw", "text"), [(b"", ""), (b"\0\0\x01", "112"), (b"hello", "Cn8eVZg"), (bytes(32), "1" * 32)]
)
def test_base58_there_and_back(raw, text):
    assert (base58.encode(raw), base58.decode(text)) == (text, raw)


@pytest.mark.parametrize("text", ["0", "O", "I", "l", " ", "é", "1" * 3000])
def test_base58_refuses_other_letters(text):
    with pytest.raises(ValueError, match="base58"):
        base58.decode(text)
