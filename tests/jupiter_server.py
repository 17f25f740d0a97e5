"""Jupiter's API on the loopback. It lends and swaps for real, on the chain behind JSON-RPC that it is given."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from solders.keypair import Keypair

from runner.keys import associated
from runner.token_program import ACCOUNT_RENT, MINT_RENT, TokenAccount, account_bytes, mint_bytes
from tests.loopback import listening

SYSTEM, TOKEN = "11111111111111111111111111111111", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
ATA = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
SOL, USDC = "So11111111111111111111111111111111111111112", "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
SHARES = {
    SOL: "2uQsyo1fXXQkDtcpXnLofWy88PxcvnfH2L8FPSE62FVU",
    USDC: "9BEcn9aPEmhSPbPQeFGjidRiEKki46fVQDyPpSQXPA2D",
}
MUCH = 1_000_000_000_000
PRICE = 150  # USDC for one SOL


class Jupiter:
    """What it was asked, in order. A share is worth 1.25 of its asset.

    chain: where its vaults stand; empty where it only tells, or moves a few lamports
    answers: by path, what it answers in the place of its own: JSON, a status, or bytes as they are
    """

    def __init__(self, chain: str) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.statuses: list[int] = []
        self.extra: dict[str, Any] = {}
        self.address, self._chain = "", chain

    def answer(self, path: str, asked: dict[str, Any]) -> Any:
        self.asked.append((path, asked))
        if self.statuses:
            return self.statuses.pop(0)
        if path in self.answers:
            return self.answers[path]
        if path == "/swap/v1/quote":
            return {"inAmount": asked["amount"], "outAmount": "1", "routePlan": []}
        if path == "/swap/v1/swap-instructions":
            moved = self._swap(asked["userPublicKey"], int(asked["quoteResponse"]["inAmount"]))
            *setup, last = moved
            return {"setupInstructions": setup, "swapInstruction": last, "cleanupInstruction": None,
                    "addressLookupTableAddresses": [], **self.extra}  # fmt: skip
        if path.endswith("-instructions"):
            return {"instructions": self._lend(path.rsplit("/", maxsplit=1)[-1].removesuffix("-instructions"), asked)}
        if path == "/lend/v1/earn/positions":
            return [{"token": {"address": SHARES[USDC]}, "shares": "5", "underlyingAssets": "6"},
                    {"token": {"address": SHARES[SOL]}, "shares": "7", "underlyingAssets": "8"}]  # fmt: skip
        if path == "/lend/v1/earn/tokens":
            return [{"address": SHARES[USDC], "assetAddress": USDC}]
        return [{"earnings": 7}]

    def _swap(self, user: str, amount: int) -> list[dict[str, Any]]:
        if not self._chain:
            return [lamports(user, 1_000_000)] * 2
        return [*self._pay_out(user, USDC, amount * PRICE // 1000), lamports(user, amount)]

    def _lend(self, operation: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        user, asset = asked["signer"], asked["asset"]
        if not self._chain:
            return [lamports(user, 2_000_000)]
        amount = int(asked["amount"]) if "amount" in asked else int(asked["shares"]) * 5 // 4
        shares = amount * 4 // 5
        if operation in ("deposit", "mint"):
            return [self._pay_in(user, asset, amount), *self._pay_out(user, SHARES[asset], shares)]
        return [self._pay_in(user, SHARES[asset], shares), *self._pay_out(user, asset, amount)]

    def _pay_in(self, user: str, mint: str, amount: int) -> dict[str, Any]:
        return tokens(user, associated(user, mint), self._place(mint, str(Keypair().pubkey()), 0), amount)

    def _pay_out(self, user: str, mint: str, amount: int) -> list[dict[str, Any]]:
        """Out of an account that is the user's own: no one else can sign here."""
        theirs = associated(user, mint)
        made = [(user, True, True), (theirs, False, True), (user, False, False), (mint, False, False),
                (SYSTEM, False, False), (TOKEN, False, False)]  # fmt: skip
        return [instruction(ATA, made, b"\1"), tokens(user, self._place(mint, user, MUCH), theirs, amount)]

    def _place(self, mint: str, owner: str, amount: int) -> str:
        self._set(mint, MINT_RENT, mint_bytes(mint, MUCH))
        address, native = str(Keypair().pubkey()), amount if mint == SOL else 0
        self._set(address, ACCOUNT_RENT + native, account_bytes(TokenAccount(mint, owner, amount)))
        return address

    def _set(self, address: str, held: int, data: bytes) -> None:
        state = {"lamports": held, "owner": TOKEN, "executable": False, "data": data.hex()}
        asked = {"jsonrpc": "2.0", "id": 0, "method": "surfnet_setAccount", "params": [address, state]}
        text, headers = json.dumps(asked).encode(), {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(self._chain, text, headers), timeout=10) as answer:
            assert "result" in json.load(answer)


def instruction(program: str, accounts: list[tuple[str, bool, bool]], data: bytes) -> dict[str, Any]:
    told = [{"pubkey": key, "isSigner": signer, "isWritable": writable} for key, signer, writable in accounts]
    return {"programId": program, "accounts": told, "data": base64.b64encode(data).decode()}


def lamports(user: str, amount: int) -> dict[str, Any]:
    data = (2).to_bytes(4, "little") + amount.to_bytes(8, "little")
    return instruction(SYSTEM, [(user, True, True), (SOL, False, True)], data)


def tokens(user: str, source: str, destination: str, amount: int) -> dict[str, Any]:
    accounts = [(source, False, True), (destination, False, True), (user, True, False)]
    return instruction(TOKEN, accounts, b"\3" + amount.to_bytes(8, "little"))


@contextmanager
def jupiter(chain: str = "") -> Iterator[Jupiter]:
    made = Jupiter(chain)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            self._say(made.answer(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._say(made.answer(self.path, asked))

        def _say(self, answer: Any) -> None:
            status = answer if isinstance(answer, int) and answer >= 100 else 200
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """A test's output is no place for it."""

    with listening(Handler) as made.address:
        yield made
