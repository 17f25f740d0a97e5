"""A chain behind JSON-RPC where it differs from the best of all nodes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey

from runner.chain import Account
from runner.chain import rpc as module
from runner.chain.rpc import RpcChain
from runner.errors import ChainError
from runner.instruction import SYSTEM_PROGRAM, AccountMeta, Instruction
from runner.keys import Keys
from tests.rpc_server import Endpoint, endpoint

TABLES = "AddressLookupTab1e1111111111111111111111111"
NOWHERE = str(Pubkey.from_bytes(bytes([7] * 32)))


@pytest.fixture
def node() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


@pytest.fixture
def keys(node: Endpoint) -> Keys:
    pair = Keypair()
    RpcChain(node.address, 0).put(str(pair.pubkey()), Account(10**9, SYSTEM_PROGRAM, False, b""))
    return Keys({}, {str(pair.pubkey()): pair}, str(pair.pubkey()))


def transfer(keys: Keys, to: str, *tables: str) -> Instruction:
    metas = (AccountMeta(keys.payer, True, True), AccountMeta(to, False, True))
    return Instruction(SYSTEM_PROGRAM, metas, b"\2\0\0\0" + (10**7).to_bytes(8, "little"), tables)


def test_the_addresses_of_lookup_tables_are_taken_from_the_chain(node: Endpoint, keys: Keys) -> None:
    chain, table, to = RpcChain(node.address, 0), str(Keypair().pubkey()), Keypair().pubkey()
    # An active table: its type, no slot of deactivation, extended in slot 0, no authority; then its addresses.
    meta = (1).to_bytes(4, "little") + b"\xff" * 8 + bytes(44)
    chain.put(table, Account(10**7, TABLES, False, meta + bytes(Keypair().pubkey()) + bytes(to)))
    sent = chain.execute([transfer(keys, str(to), table)], keys)
    assert sent.error is None
    message = node.transactions[-1].message
    assert isinstance(message, MessageV0)
    (lookup,) = message.address_table_lookups
    assert (str(lookup.account_key), lookup.writable_indexes, lookup.readonly_indexes) == (table, b"\1", b"")
    landed = chain.account(str(to))
    assert landed is not None
    assert landed.lamports == 10**7


def test_what_is_larger_than_a_packet_is_not_sent(node: Endpoint, keys: Keys) -> None:
    many = [transfer(keys, str(Keypair().pubkey())) for _ in range(32)]
    sent = RpcChain(node.address, 0).execute(many, keys)
    assert (sent.error or "").endswith("bytes, and a node takes 1,232 at most")
    assert not node.transactions


def test_a_lookup_table_that_is_not_there_is_named(node: Endpoint, keys: Keys) -> None:
    with pytest.raises(ChainError, match=f"there is no address lookup table {NOWHERE}"):
        RpcChain(node.address, 0).execute([transfer(keys, NOWHERE, NOWHERE)], keys)
    assert node.transactions == []


def test_without_tables_it_is_a_plain_transaction(node: Endpoint, keys: Keys) -> None:
    assert RpcChain(node.address, 0).execute([transfer(keys, str(Keypair().pubkey()))], keys).error is None
    assert isinstance(node.transactions[-1].message, Message)


def test_what_one_node_knows_and_the_next_does_not_is_waited_for(
    node: Endpoint, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0)
    unknown = {"result": {"context": {"slot": 1}, "value": [None]}}
    node.instead = {"getSignatureStatuses": [unknown] * 2, "getTransaction": [{"result": None}] * 3}
    sent = RpcChain(node.address, 0).execute([transfer(keys, str(Keypair().pubkey()))], keys)
    assert (sent.error, sent.fee) == (None, 5000)
    assert node.asked.count("getTransaction") == 4


@pytest.mark.parametrize(
    ("method", "unknown", "says"),
    [
        ("getSignatureStatuses", {"context": {}, "value": [None]}, "it was not confirmed within 0.05 s"),
        ("getTransaction", None, "nothing is told of it within 0.05 s"),
    ],
)
def test_but_not_for_ever(
    method: str, unknown: Any, says: str, node: Endpoint, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(module, "CONFIRM_SECONDS", 0.05)
    node.instead = {method: [{"result": unknown}] * 10_000}
    with pytest.raises(ChainError, match=says):
        RpcChain(node.address, 0).execute([transfer(keys, str(Keypair().pubkey()))], keys)


def test_a_short_password_that_is_a_part_of_an_accounts_data_leaves_it_as_it_is(node: Endpoint) -> None:
    data = bytes(range(256))
    assert "MzQ1" in base64.b64encode(data).decode()
    chain = RpcChain(node.address.replace("://", "://me:MzQ1@"), 0)
    chain.put(NOWHERE, Account(1, SYSTEM_PROGRAM, False, data))
    found = chain.account(NOWHERE)
    assert found is not None
    assert found.data == data


def test_an_error_of_null_is_none(node: Endpoint) -> None:
    node.instead = {"getAccountInfo": [{"result": {"value": None}, "error": None}]}
    assert RpcChain(node.address, 0).account(NOWHERE) is None


@pytest.mark.parametrize(
    "busy", [429, 503, {"code": 429, "message": "slow down"}, {"code": -32005, "message": "behind"}]
)
def test_a_node_that_is_busy_is_asked_again(busy: Any, node: Endpoint) -> None:
    chain = RpcChain(node.address, 0)
    if isinstance(busy, int):
        node.answers = [busy] * 4
    else:
        node.instead = {"getAccountInfo": [{"error": busy}] * 4}
    assert chain.account(NOWHERE) is None


STRANGE = [None, 5, "text", [], {}, {"value": 5}, {"value": []}, {"value": [5]}, {"value": {"blockhash": "x"}},
           {"value": {"lamports": "1", "owner": "x", "executable": False, "data": ["", "base64"]}}]  # fmt: skip


@pytest.mark.parametrize("result", STRANGE, ids=str)
@pytest.mark.parametrize("method", ["getAccountInfo", "getLatestBlockhash", "getSignatureStatuses", "getTransaction"])
def test_a_result_of_another_shape_is_said(
    method: str, result: Any, node: Endpoint, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONFIRM_SECONDS", 0)
    chain, tables = RpcChain(node.address, 0), (NOWHERE,) if method == "getAccountInfo" else ()
    node.instead = {method: [{"result": result}] * 9}
    with pytest.raises(ChainError, match=f"calling (send|get)Transaction at|calling {method} at"):
        chain.execute([transfer(keys, str(Keypair().pubkey()), *tables)], keys)


@pytest.mark.parametrize("answer", [{}, {"result": 5, "error": {"code": 1, "message": "no"}}, {"error": "no"}])
def test_an_error_is_said_whatever_its_form(answer: dict[str, Any], node: Endpoint) -> None:
    chain = RpcChain(node.address, 0)
    node.instead = {"getAccountInfo": [answer]}
    with pytest.raises(ChainError, match=r"it is no JSON-RPC|is no JSON-RPC|no \(code"):
        chain.account(NOWHERE)
