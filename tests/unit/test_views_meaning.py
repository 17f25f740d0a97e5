"""What instructions mean. The bytes are those of other hands: solders makes them, the real chain executes them."""

from __future__ import annotations

import hashlib

import pytest
import solders.compute_budget as budget
import solders.system_program as system
from solders.instruction import AccountMeta
from solders.instruction import Instruction as SolanaInstruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import TransactionMetadata

from reevd.views import base58, programs
from reevd.views.accounts import Accounts, amount
from reevd.views.calls import Call, calls, walk
from reevd.views.instruction import instructions
from reevd.views.meaning import meaning
from runner.base58 import encode

ME, MINT, OTHER, THIRD = (Keypair.from_seed(bytes([seed]) * 32) for seed in (1, 2, 3, 4))
TOKEN, ASSOCIATED = (Pubkey.from_string(text) for text in (programs.TOKEN, programs.ASSOCIATED_TOKEN))
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
WSOL = "So11111111111111111111111111111111111111112"


def held_by(owner: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(owner), bytes(TOKEN), bytes(MINT.pubkey())], ASSOCIATED)[0]


NAMES = {
    "ME": str(ME.pubkey()),
    "OTHER": str(OTHER.pubkey()),
    "THIRD": str(THIRD.pubkey()),
    "TOY": str(MINT.pubkey()),
    "MINE": str(held_by(ME.pubkey())),
    "THEIRS": str(held_by(OTHER.pubkey())),
}


def told(
    program: str, data: bytes, accounts: tuple[str, ...] = (), states: object = None, names: object = NAMES
) -> str | None:
    """The sentence for an instruction whose accounts go by name."""
    keys = [{"pubkey": NAMES.get(name, name), "is_signer": False, "is_writable": True} for name in accounts]
    (found,) = instructions([{"program_id": program, "accounts": keys, "data": encode(data)}])
    does = meaning(found, Accounts(names, states))
    return does and does.text


def read(instruction: SolanaInstruction) -> str | None:
    accounts = [{"pubkey": str(m.pubkey), "is_signer": m.is_signer, "is_writable": m.is_writable}
                for m in instruction.accounts]  # fmt: skip
    program, data = str(instruction.program_id), encode(bytes(instruction.data))
    (found,) = instructions([{"program_id": program, "accounts": accounts, "data": data}])
    does = meaning(found, Accounts(NAMES))
    return does and does.text


@pytest.mark.parametrize(
    ("instruction", "sentence"),
    [
        (
            system.transfer(
                system.TransferParams(from_pubkey=ME.pubkey(), to_pubkey=OTHER.pubkey(), lamports=100_000_000)
            ),
            "Transfer 0.1 SOL from ME to OTHER",
        ),
        (
            system.create_account(
                system.CreateAccountParams(
                    from_pubkey=ME.pubkey(), to_pubkey=MINT.pubkey(), lamports=1_461_600, space=82, owner=TOKEN
                )
            ),
            "CreateAccount TOY with 0.0014616 SOL from ME, 82 bytes, owned by SPL Token",
        ),
        (
            system.create_account_with_seed(
                system.CreateAccountWithSeedParams(
                    from_pubkey=ME.pubkey(),
                    to_pubkey=OTHER.pubkey(),
                    base=ME.pubkey(),
                    seed="sprout",
                    lamports=1,
                    space=2_000,
                    owner=TOKEN,
                )
            ),
            "CreateAccountWithSeed OTHER with 0.000000001 SOL from ME, 2,000 bytes, owned by SPL Token, of seed sprout",
        ),
        (system.assign(system.AssignParams(pubkey=ME.pubkey(), owner=TOKEN)), "Assign ME to SPL Token"),
        (
            system.assign_with_seed(
                system.AssignWithSeedParams(address=OTHER.pubkey(), base=ME.pubkey(), seed="s", owner=TOKEN)
            ),
            "AssignWithSeed OTHER to SPL Token",
        ),
        (system.allocate(system.AllocateParams(pubkey=ME.pubkey(), space=9)), "Allocate 9 bytes for ME"),
        (
            system.allocate_with_seed(
                system.AllocateWithSeedParams(address=OTHER.pubkey(), base=ME.pubkey(), seed="s", space=9, owner=TOKEN)
            ),
            "AllocateWithSeed 9 bytes for OTHER",
        ),
        (
            system.transfer_with_seed(
                system.TransferWithSeedParams(
                    from_pubkey=OTHER.pubkey(),
                    from_base=ME.pubkey(),
                    from_seed="s",
                    from_owner=TOKEN,
                    to_pubkey=THIRD.pubkey(),
                    lamports=2_500_000_000,
                )
            ),
            "TransferWithSeed 2.5 SOL from OTHER to THIRD",
        ),
        (
            system.advance_nonce_account(
                system.AdvanceNonceAccountParams(nonce_pubkey=OTHER.pubkey(), authorized_pubkey=ME.pubkey())
            ),
            "AdvanceNonceAccount OTHER",
        ),
        (
            system.withdraw_nonce_account(
                system.WithdrawNonceAccountParams(
                    nonce_pubkey=OTHER.pubkey(),
                    authorized_pubkey=ME.pubkey(),
                    to_pubkey=THIRD.pubkey(),
                    lamports=1_000_000_000,
                )
            ),
            "WithdrawNonceAccount 1 SOL from OTHER to THIRD",
        ),
        (
            system.initialize_nonce_account(
                system.InitializeNonceAccountParams(nonce_pubkey=OTHER.pubkey(), authority=ME.pubkey())
            ),
            "InitializeNonceAccount OTHER of ME",
        ),
        (
            system.authorize_nonce_account(
                system.AuthorizeNonceAccountParams(
                    nonce_pubkey=OTHER.pubkey(), authorized_pubkey=ME.pubkey(), new_authority=THIRD.pubkey()
                )
            ),
            "AuthorizeNonceAccount OTHER from ME to THIRD",
        ),
        (
            system.upgrade_nonce_account(system.UpgradeNonceAccountParams(nonce_pubkey=OTHER.pubkey())),
            "UpgradeNonceAccount OTHER",
        ),
        (budget.set_compute_unit_limit(300_000), "SetComputeUnitLimit 300,000 compute units"),
        (budget.set_compute_unit_price(7), "SetComputeUnitPrice 7 micro-lamports for a unit"),
        (budget.request_heap_frame(32_768), "RequestHeapFrame 32,768 bytes"),
        (budget.set_loaded_accounts_data_size_limit(5), "SetLoadedAccountsDataSizeLimit 5 bytes"),
    ],
)
def test_instructions_that_another_library_made(instruction: SolanaInstruction, sentence: str) -> None:
    assert read(instruction) == sentence


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def instruction(program: Pubkey, data: bytes, *accounts: tuple[Pubkey, str]) -> SolanaInstruction:
    """Accounts by address and flags: s for a signer, w for writable."""
    return SolanaInstruction(program, data, [AccountMeta(key, "s" in flags, "w" in flags) for key, flags in accounts])


def test_what_the_chain_does_is_what_is_said() -> None:
    """Each is executed: it must succeed, and the chain's own state must be what the sentences say."""
    me, toy, mine, theirs = ME.pubkey(), MINT.pubkey(), held_by(ME.pubkey()), held_by(OTHER.pubkey())

    def create(owner: Pubkey, data: bytes) -> SolanaInstruction:
        names = ((me, "sw"), (held_by(owner), "w"), (owner, ""), (toy, ""), (system.ID, ""), (TOKEN, ""))
        return instruction(ASSOCIATED, data, *names)

    program = {
        "CreateAccount TOY with 0.0014616 SOL from ME, 82 bytes, owned by SPL Token": system.create_account(
            system.CreateAccountParams(from_pubkey=me, to_pubkey=toy, lamports=1_461_600, space=82, owner=TOKEN)
        ),
        "InitializeMint2 TOY with 6 decimals, minted by ME": instruction(
            TOKEN, bytes((20, 6)) + bytes(me) + b"\0", (toy, "w")
        ),
        "Create MINE for TOY of ME, paid by ME": create(me, b""),
        "CreateIdempotent THEIRS for TOY of OTHER, unless it is there, paid by ME": create(OTHER.pubkey(), b"\1"),
        "MintToChecked 5 of TOY to MINE": instruction(
            TOKEN, bytes((14, *u64(5_000_000), 6)), (toy, "w"), (mine, "w"), (me, "s")
        ),
        "MintTo 250,000 units of TOY to MINE": instruction(
            TOKEN, bytes((7, *u64(250_000))), (toy, "w"), (mine, "w"), (me, "s")
        ),
        "TransferChecked 2.000001 of TOY from MINE to THEIRS": instruction(
            TOKEN, bytes((12, *u64(2_000_001), 6)), (mine, "w"), (toy, ""), (theirs, "w"), (me, "s")
        ),
        "BurnChecked 0.249999 of TOY of MINE": instruction(
            TOKEN, bytes((15, *u64(249_999), 6)), (mine, "w"), (toy, "w"), (me, "s")
        ),
        "ApproveChecked THIRD may move 1 of TOY of MINE": instruction(
            TOKEN, bytes((13, *u64(1_000_000), 6)), (mine, "w"), (toy, ""), (THIRD.pubkey(), ""), (me, "s")
        ),
        "Revoke no one but its owner may move MINE": instruction(TOKEN, bytes((5,)), (mine, "w"), (me, "s")),
        "SetAuthority of TOY (kind 0) to nobody": instruction(TOKEN, bytes((6, 0, 0)), (toy, "w"), (me, "s")),
        "Burn 3,000,000 units of TOY of MINE": instruction(
            TOKEN, bytes((8, *u64(3_000_000))), (mine, "w"), (toy, "w"), (me, "s")
        ),
        "CloseAccount MINE, its SOL to THIRD": instruction(
            TOKEN, bytes((9,)), (mine, "w"), (THIRD.pubkey(), "w"), (me, "s")
        ),
        "Memo all is said": instruction(Pubkey.from_string(programs.MEMO), b"all is said", (me, "s")),
    }
    assert {sentence: read(each) for sentence, each in program.items()} == {sentence: sentence for sentence in program}

    vm = LiteSVM()
    vm.airdrop(me, 10**10)
    message = Message.new_with_blockhash(list(program.values()), me, vm.latest_blockhash())
    done = vm.send_transaction(Transaction([ME, MINT], message, vm.latest_blockhash()))
    assert isinstance(done, TransactionMetadata), done
    assert vm.get_balance(THIRD.pubkey()) == 2_039_280
    account = vm.get_account(theirs)
    assert account is not None
    assert int.from_bytes(bytes(account.data)[64:72], "little") == 2_000_001

    top = [part for part in calls(done.logs()) if isinstance(part, Call)]
    assert [part.program for part in top] == [str(each.program_id) for each in program.values()]
    assert all(call.succeeded for call in walk(top))
    assert {call.depth for call in walk(top)} == {1, 2}


STATES = {
    "MINE": {"mint": USDC, "amount": 5, "lamports": 7},
    "THEIRS": {"mint": WSOL, "lamports": 7},
}


@pytest.mark.parametrize(
    ("program", "data", "accounts", "sentence"),
    [
        (programs.TOKEN, bytes((3, *u64(15_000_000))), ("MINE", "OTHER", "ME"), "Transfer 15 USDC from MINE to OTHER"),
        (programs.TOKEN_2022, bytes((3, *u64(1))), ("MINE", "OTHER"), "Transfer 0.000001 USDC from MINE to OTHER"),
        (programs.TOKEN, bytes((3, *u64(1_500))), ("OTHER", "ME"), "Transfer 1,500 units from OTHER to ME"),
        (programs.TOKEN, bytes((3, *u64(9))), (), "Transfer 9 units from ? to ?"),
        (programs.TOKEN, bytes((3, 1)), ("MINE",),
         "Transfer whose data cannot be read: 1 bytes are left where 8 are due"),
        (programs.TOKEN, bytes((1,)), ("MINE", "TOY", "ME"), "InitializeAccount MINE for TOY of ME"),
        (programs.TOKEN, b"\x12" + bytes(ME.pubkey()), ("MINE", "TOY"),
         "InitializeAccount3 MINE for TOY of ME"),
        (programs.TOKEN, bytes((77,)), (), "an instruction that is not known (4d)"),
        (programs.TOKEN, bytes((26, 1)), (), "an instruction that is not known (1a 01)"),
        (programs.TOKEN, b"", (), "an instruction that is not known (no data)"),
        (programs.TOKEN_2022, bytes((26, 1, *u64(20), 1, *u64(5))), ("MINE", USDC, "OTHER"),
         "TransferCheckedWithFee 2 USDC from MINE to OTHER, of which 0.5 USDC are the fee"),
        (programs.TOKEN_2022, bytes((29, 9)), ("MINE",), "Reallocate"),
        (programs.TOKEN_2022, bytes((36, 0)), ("MINE",), "TransferHookExtension"),
        (programs.SYSTEM, b"\2", (), "an instruction that is not known (02)"),
        (programs.SYSTEM, bytes((3, 0, 0, 0)) + bytes(32) + u64(2**63), (),
         "CreateAccountWithSeed whose data cannot be read: 0 bytes are left where 9223372036854775808 are due"),
        (programs.SYSTEM, bytes((3, 0, 0, 0)) + bytes(32) + u64(1) + b"\xff" + bytes(48), (),
         "CreateAccountWithSeed whose data cannot be read: its text is no UTF-8"),
        (programs.MEMO, b"\x1b[31mred\n", (), "Memo \\x1b[31mred\\n"),
        (programs.MEMO_V1, b"\xff", (), "Memo \N{REPLACEMENT CHARACTER}"),
        ("GyGKxMyg1p9SsHfm15MkNUu1u9TN2JtTspcdmrtGUdse", b"\2", (), None),
    ],
)  # fmt: skip
def test_sentences(program: str, data: bytes, accounts: tuple[str, ...], sentence: str | None) -> None:
    assert told(program, data, accounts, STATES) == sentence


def anchor(name: str) -> bytes:
    return hashlib.sha256(f"global:{name}".encode()).digest()[:8]


@pytest.mark.parametrize("route", [b"", b"\1\0\0\0\x11\1\x64\0\1", bytes(300)])
def test_the_amounts_of_a_swap_stand_behind_its_route(route: bytes) -> None:
    tail = u64(2_000_000) + u64(3_000_000_000) + b"\x32\0" + b"\0"
    accounts = ("token program", "ME", "MINE", "THEIRS", "nobody", WSOL)
    text = told(programs.JUPITER, anchor("route") + route + tail, accounts, STATES)
    assert text == "route 2 USDC for about 3 wSOL, slippage 50 basis points"
    shared = ("program", "authority", "ME", "MINE", "a", "b", "THEIRS", USDC, WSOL)
    text = told(programs.JUPITER, anchor("shared_accounts_exact_out_route") + route + tail, shared)
    assert text == "shared_accounts_exact_out_route about 3,000 USDC for 0.002 wSOL, slippage 50 basis points"


def test_a_swap_that_is_cut_is_named_and_not_guessed() -> None:
    text = told(programs.JUPITER, anchor("route") + b"\0" * 18)
    assert text == "route whose data cannot be read: 0 bytes are left where 1 are due"
    assert told(programs.JUPITER_LEND, base58.decode("PcB3tF1KHa29RNjc94cor7") or b"") == "withdraw 50,000,000 units"
    assert told(programs.JUPITER, b"12345678") == "an instruction that is not known (31 32 33 34 35 36 37 38)"


def test_data_that_is_no_base58_has_no_meaning() -> None:
    for data in ("0OIl", "é", 5, None, "1" * 5_000):
        (found,) = instructions([{"program_id": programs.SYSTEM, "accounts": "none", "data": data}])
        assert meaning(found, Accounts()) is None


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [(0, 6, "0"), (1, 9, "0.000000001"), (1_234_500, 3, "1,234.5"), (10**18, 9, "1,000,000,000"), (5, 0, "5"),
     (-1_500, 3, "-1.5"), (1, 255, "0.000000000000000000000000000001")],
)  # fmt: skip
def test_amounts_are_exact(units: int, decimals: int, text: str) -> None:
    assert amount(units, decimals) == text


def test_base58_is_what_the_runner_writes() -> None:
    for raw in (b"", b"\0", b"\0\0a", bytes(range(256)), hashlib.sha256(b"x").digest()):
        assert base58.decode(encode(raw)) == raw
        assert base58.encode(raw) == encode(raw)
