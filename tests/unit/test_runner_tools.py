"""The tools: what they answer, and which arguments they refuse. On a real chain."""

import pytest
from solders.keypair import Keypair

from runner import base58
from runner.agents import Task
from runner.agents.deterministic import Deterministic
from runner.case_file import parse
from runner.chain import Account
from runner.chain.litesvm import EmbeddedChain
from runner.errors import AgentError
from runner.instruction import AccountMeta, Instruction
from runner.keys import associated, fresh
from runner.state import prepare
from runner.token_program import TokenAccount, account_bytes, mint_bytes, read_account
from runner.tools import NAMES, Bench, ToolError, Tools
from runner.tools.parameters import read

SYSTEM = "11111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
CASE = f"""\
id: x
initial_state:
  - {{ pubkey: USER_WALLET_PUBKEY, owner: "{SYSTEM}", lamports: 1000000000 }}
  - {{ pubkey: RECIPIENT_WALLET_PUBKEY, owner: "{SYSTEM}", lamports: 0 }}
  - {{ pubkey: USER_USDC_ATA, owner: {TOKEN}, lamports: 2039280,
      data: {{ mint: {USDC}, owner: USER_WALLET_PUBKEY, amount: "12" }} }}
prompt: p
ground_truth:
  final_state_assertions: []
  expected_instructions: []
"""


@pytest.fixture
def bench():
    case = parse(CASE.encode(), "x.yml")
    chain, keys = EmbeddedChain(), fresh(case)
    prepare(chain, case, keys)
    return Bench(chain, keys)


def call(bench, name, **arguments):
    tool = Tools()[name]
    return tool.call(read(tool.parameters, arguments, bench.keys.address), bench)


def transfer(**changes):
    asked = {"user_pubkey": "USER_WALLET_PUBKEY", "recipient_pubkey": "RECIPIENT_WALLET_PUBKEY", "amount": 5}
    return asked | changes


def test_every_tool_is_its_own_module_and_knows_its_name():
    assert {name: tool.name for name, tool in Tools().items()} == {name: name for name in NAMES}


def test_sol_transfer_takes_placeholders(bench):
    answer = call(bench, "sol_transfer", **transfer(mint_address=None, operation="sol"))
    (instruction,) = answer.instructions
    user, recipient = bench.keys.address("USER_WALLET_PUBKEY"), bench.keys.address("RECIPIENT_WALLET_PUBKEY")
    assert answer.result == [
        {
            "program_id": SYSTEM,
            "accounts": [
                {"pubkey": user, "is_signer": True, "is_writable": True},
                {"pubkey": recipient, "is_signer": False, "is_writable": True},
            ],
            "data": base58.encode(bytes([2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])),
        }
    ]
    assert bench.chain.execute([instruction], bench.keys).error is not None  # 5 lamports are no rent for a new account
    (enough,) = call(bench, "sol_transfer", **transfer(amount=1_000_000)).instructions
    assert bench.chain.execute([enough], bench.keys).succeeded
    assert bench.chain.account(recipient).lamports == 1_000_000


def test_spl_transfer_derives_the_token_accounts(bench):
    (instruction,) = call(bench, "spl_transfer", **transfer(mint_address=USDC)).instructions
    user, recipient = bench.keys.address("USER_WALLET_PUBKEY"), bench.keys.address("RECIPIENT_WALLET_PUBKEY")
    assert [meta.pubkey for meta in instruction.accounts] == [associated(user, USDC), associated(recipient, USDC), user]
    assert [meta.is_signer for meta in instruction.accounts] == [False, False, True]
    assert instruction.data == bytes([3, 5, 0, 0, 0, 0, 0, 0, 0])


def test_get_account_balance(bench):
    user = bench.keys.address("USER_WALLET_PUBKEY")
    assert call(bench, "get_account_balance", pubkey="USER_WALLET_PUBKEY").result == {
        "pubkey": user,
        "lamports": 1_000_000_000,
    }
    expected = {
        "pubkey": associated(user, USDC),
        "lamports": 2_039_280,
        "mint": USDC,
        "owner": user,
        "amount": "12",
    }
    assert call(bench, "get_account_balance", pubkey="USER_WALLET_PUBKEY", token_mint=USDC).result == expected
    assert call(bench, "get_account_balance", pubkey="USER_USDC_ATA", account_type="token").result == expected
    assert call(bench, "get_account_balance", pubkey="RECIPIENT_WALLET_PUBKEY").result["lamports"] == 0
    with pytest.raises(ToolError, match="no token account"):
        call(bench, "get_account_balance", pubkey="RECIPIENT_WALLET_PUBKEY", token_mint=USDC)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amount": -1}, "amount must be a whole number"),
        ({"amount": 2**64}, "amount must be a whole number"),
        ({"amount": 1.0}, "amount must be a whole number"),
        ({"amount": "5"}, "amount must be a whole number"),
        ({"amount": True}, "amount must be a whole number"),
        ({"user_pubkey": "NOBODY"}, "user_pubkey: 'NOBODY' is neither"),
        ({"user_pubkey": 7}, "user_pubkey must be a key"),
        ({"user_pubkey": None}, "user_pubkey must be a key"),
        ({"operation": "spl"}, "operation must be 'sol'"),
        ({"mint_address": USDC}, "mint_address must be null"),
        ({"colour": "red"}, "unknown argument colour"),
    ],
)
def test_arguments_that_are_refused(bench, changes, why):
    with pytest.raises(ToolError, match=why):
        call(bench, "sol_transfer", **transfer(**changes))


def test_a_missing_argument_is_refused(bench):
    with pytest.raises(ToolError, match="user_pubkey is missing"):
        call(bench, "sol_transfer", amount=1)


def test_a_transaction_that_nobody_can_sign_is_told(bench):
    arguments = transfer(user_pubkey=USDC)
    sent = bench.chain.execute(call(bench, "sol_transfer", **arguments).instructions, bench.keys)
    assert sent.error == f"it cannot be signed: no key at hand for {USDC}"


def test_a_transaction_that_no_node_would_take_is_refused(bench):
    others = [str(Keypair().pubkey()) for _ in range(32)]
    asked = [transfer(recipient_pubkey=each, amount=1_000_000) for each in others]
    several = [each for one in asked for each in call(bench, "sol_transfer", **one).instructions]
    assert bench.chain.execute(several[:21], bench.keys).succeeded
    sent = bench.chain.execute(several, bench.keys)
    assert (sent.error or "").endswith("it has 1,734 bytes, and a node takes 1,232 at most")
    assert bench.chain.account(others[21]) is None


def test_errors_of_the_chain_before_any_instruction(bench):
    keys = fresh(parse(CASE.encode(), "x.yml"))  # wallets that the chain has never seen
    tool = Tools()["sol_transfer"]
    sent = bench.chain.execute(tool.call(read(tool.parameters, transfer(), keys.address), bench).instructions, keys)
    assert sent.error == "Error processing the transaction: AccountNotFound"


def checked_transfer(bench, amount, decimals):
    user, recipient = bench.keys.address("USER_WALLET_PUBKEY"), bench.keys.address("RECIPIENT_WALLET_PUBKEY")
    accounts = (
        AccountMeta(associated(user, USDC), False, True),
        AccountMeta(USDC, False, False),
        AccountMeta(associated(recipient, USDC), False, True),
        AccountMeta(user, True, False),
    )
    data = bytes([12]) + amount.to_bytes(8, "little") + bytes([decimals])
    return Instruction(TOKEN, accounts, data)


def test_the_mints_of_a_case_stand_with_their_decimals(bench):
    recipient = bench.keys.address("RECIPIENT_WALLET_PUBKEY")
    account = Account(2_039_280, TOKEN, False, account_bytes(TokenAccount(USDC, recipient, 0)))
    bench.chain.put(associated(recipient, USDC), account)
    refused = bench.chain.execute([checked_transfer(bench, 5, 9)], bench.keys)
    assert refused.error.startswith("Error processing Instruction 0: custom program error: 0x12 ")  # mint decimals
    assert bench.chain.execute([checked_transfer(bench, 5, 6)], bench.keys).succeeded
    assert read_account(bench.chain.account(associated(recipient, USDC)).data).amount == 5


def test_a_mint_that_the_chain_knows_is_left_as_it_is():
    case = parse(CASE.encode(), "x.yml")
    chain, keys = EmbeddedChain(), fresh(case)
    known = Account(5_000_000, TOKEN, False, mint_bytes(USDC, 77))
    chain.put(USDC, known)
    prepare(chain, case, keys)
    assert chain.account(USDC) == known


def test_the_same_transaction_can_be_sent_again(bench):
    instructions = call(bench, "sol_transfer", **transfer(amount=1_000_000)).instructions
    assert [bench.chain.execute(instructions, bench.keys).succeeded for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    ("program", "accounts", "data"),
    [
        (SYSTEM, ["USER_WALLET_PUBKEY", "RECIPIENT_WALLET_PUBKEY"], "..."),
        (SYSTEM, ["USER_WALLET_PUBKEY"], "3Bxs411Dtc7pkFQj"),
        (SYSTEM, ["USER_WALLET_PUBKEY", "RECIPIENT_WALLET_PUBKEY"], "3mimF1vf45io"),
        (TOKEN, ["USER_USDC_ATA", "RECIPIENT_WALLET_PUBKEY", "USER_WALLET_PUBKEY"], "3mimF1vf45io"),
        (USDC, ["USER_WALLET_PUBKEY"], "3mimF1vf45io"),
    ],
)
def test_the_deterministic_agent_says_what_it_cannot_play(program, accounts, data):
    listed = ", ".join(f"{{ pubkey: {name}, is_signer: false, is_writable: true }}" for name in accounts)
    expected = f'expected_instructions: [{{ program_id: "{program}", accounts: [{listed}], data: "{data}" }}]'
    case = parse(CASE.replace("expected_instructions: []", expected).encode(), "x.yml")
    with pytest.raises(AgentError, match=f"no tool makes instruction 0 of program {program}"):
        Deterministic().act(case, Task(0, case.prompt), NoTools())


class NoTools:
    names = ()

    def call(self, name, arguments):
        raise AssertionError(f"{name} is called with {arguments}")
