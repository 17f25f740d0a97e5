"""A chain behind JSON-RPC on the loopback: the real runtime, LiteSVM, in the place of a validator."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from solders.account import Account
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from tests.loopback import listening

MAINNET = ("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4", "jup3YeL8QhtSx1e253b2FDvsMNC87fDrgQZivbrndc9")


class Endpoint:
    """`cheats`: whether accounts can be set; `programs`: those that it says it has, beside the runtime's own.

    answers: statuses of HTTP for the next answers, and then 200
    instead: by method, what the next calls are answered in the place of the truth
    """

    def __init__(self, *, cheats: bool, programs: tuple[str, ...]) -> None:
        self._vm, self._cheats, self._programs = LiteSVM(), cheats, programs
        self.instead: dict[str, list[dict[str, Any]]] = {}
        self.transactions: list[VersionedTransaction] = []
        self._sent: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.answers: list[int] = []
        self.address = ""

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(asked["method"])
        if self.instead.get(asked["method"]):
            return self.instead[asked["method"]].pop(0)
        method = getattr(self, f"_{asked['method']}", None)
        if method is None or (asked["method"].startswith("surfnet_") and not self._cheats):
            return {"error": {"code": -32601, "message": "Method not found"}}
        return {"result": method(*asked["params"])}

    def _getVersion(self) -> dict[str, Any]:  # noqa: N802 (the names of the methods)
        return {"solana-core": "2.0.0", "feature-set": 1}

    def _getLatestBlockhash(self, _: Any) -> dict[str, Any]:  # noqa: N802
        value = {"blockhash": str(self._vm.latest_blockhash()), "lastValidBlockHeight": 100}
        return {"context": {"slot": 1}, "value": value}

    def _surfnet_setAccount(self, address: str, state: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        account = Account(
            state["lamports"], bytes.fromhex(state["data"]), Pubkey.from_string(state["owner"]),
            executable=state["executable"],
        )  # fmt: skip
        self._vm.set_account(Pubkey.from_string(address), account)
        return {"context": {"slot": 1}, "value": None}

    def _getAccountInfo(self, address: str, _: Any) -> dict[str, Any]:  # noqa: N802
        if address in self._programs:
            loader = "BPFLoaderUpgradeab1e11111111111111111111111"
            program = {"lamports": 1, "owner": loader, "executable": True, "data": ["", "base64"], "rentEpoch": 0}
            return {"context": {"slot": 1}, "value": program}
        state = self._vm.get_account(Pubkey.from_string(address))
        value = state and {
            "lamports": state.lamports,
            "owner": str(state.owner),
            "executable": state.executable,
            "data": [base64.b64encode(bytes(state.data)).decode(), "base64"],
            "rentEpoch": 0,
        }
        return {"context": {"slot": 1}, "value": value}

    def _sendTransaction(self, text: str, _: Any) -> str:  # noqa: N802
        transaction = VersionedTransaction.from_bytes(base64.b64decode(text))
        self.transactions.append(transaction)
        sent = self._vm.send_transaction(transaction)
        failed = isinstance(sent, FailedTransactionMetadata)
        meta = sent.meta() if isinstance(sent, FailedTransactionMetadata) else sent
        self._vm.expire_blockhash()
        signature = str(meta.signature())
        error = _error(sent.err()) if isinstance(sent, FailedTransactionMetadata) else None
        self._sent[signature] = {
            "slot": 1,
            "blockTime": None,
            "transaction": [text, "base64"],
            "meta": {
                "err": error,
                "status": {"Err": error} if failed else {"Ok": None},
                "fee": meta.fee(),
                "preBalances": [],
                "postBalances": [],
                "innerInstructions": [],
                "logMessages": meta.logs(),
                "preTokenBalances": [],
                "postTokenBalances": [],
                "rewards": [],
                "computeUnitsConsumed": meta.compute_units_consumed(),
            },
            "version": 0 if isinstance(transaction.message, MessageV0) else "legacy",
        }
        return signature

    def _getSignatureStatuses(self, signatures: list[str]) -> dict[str, Any]:  # noqa: N802
        known = {"slot": 1, "confirmations": 1, "err": None, "confirmationStatus": "confirmed"}
        return {"context": {"slot": 1}, "value": [known if s in self._sent else None for s in signatures]}

    def _getTransaction(self, signature: str, _: Any) -> dict[str, Any] | None:  # noqa: N802
        return self._sent.get(signature)


def _error(error: Any) -> Any:
    """As a validator writes it: {"InstructionError": [0, {"Custom": 1}]}."""
    if hasattr(error, "index"):
        cause = error.err
        return {
            "InstructionError": [
                error.index,
                {"Custom": cause.code} if hasattr(cause, "code") else str(cause).rpartition(".")[2],
            ]
        }
    return str(error).rpartition(".")[2]


@contextmanager
def endpoint(*, cheats: bool = True, programs: tuple[str, ...] = ()) -> Iterator[Endpoint]:
    made = Endpoint(cheats=cheats, programs=programs)

    class Handler(BaseHTTPRequestHandler):
        # HTTP/1.0: a connection that is kept open would keep the one thread, and others have questions too.
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = made.answers.pop(0) if made.answers else 200
            answer = {"jsonrpc": "2.0", "id": asked["id"], **made.answer(asked)} if status == 200 else {}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """A test's output is no place for it."""

    # The runtime belongs to the thread that made it: one thread, one request at a time.
    class Server(ThreadingHTTPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            self.finish_request(request, client_address)
            self.shutdown_request(request)

    with listening(Handler, Server) as made.address:
        yield made
