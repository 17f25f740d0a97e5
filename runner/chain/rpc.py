"""A chain behind an RPC endpoint: a surfpool fork, or any validator that lets accounts be set as it does."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

import httpx
import orjson
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.errors import SerdeJSONError
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.rpc.responses import GetTransactionResp

from runner.chain import Account, Transaction
from runner.chain.signing import error_text, signed, unsigned
from runner.errors import ChainError
from runner.instruction import Instruction
from runner.keys import Keys

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
CONFIRM_SECONDS, POLL_SECONDS = 60.0, 0.1
COMMITMENT = {"commitment": "confirmed"}
NO_SUCH_METHOD = -32601
TABLE_META = 56
"""Bytes of an address lookup table before its addresses (solana-address-lookup-table-interface)."""
START = "start a fork with `surfpool start`, and pass --rpc-url http://127.0.0.1:8899"


class RpcChain:
    name = "rpc"

    def __init__(self, url: str) -> None:
        """Raises ChainError where nothing answers there."""
        try:
            address = httpx.URL(url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in ("http", "https") or not address.host:
            raise ChainError("connecting to the chain at", url, "it is no address", "such as http://127.0.0.1:8899")
        self._url, self._number = url, 0
        # Services put their keys into the address: what is told of it has none.
        self._shown = str(address.copy_with(userinfo=b"", query=None, fragment=None))
        self._client = httpx.Client(timeout=TIMEOUT)
        self._call("getVersion")

    def put(self, address: str, account: Account) -> None:
        """By surfpool's cheat code; `data` goes as hexadecimal digits."""
        state = {
            "lamports": account.lamports,
            "owner": account.owner,
            "executable": account.executable,
            "data": account.data.hex(),
        }
        self._call("surfnet_setAccount", address, state)

    def account(self, address: str) -> Account | None:
        found = self._call("getAccountInfo", address, {"encoding": "base64", **COMMITMENT})["value"]
        if found is None:
            return None
        return Account(found["lamports"], found["owner"], found["executable"], base64.b64decode(found["data"][0]))

    def execute(self, instructions: Sequence[Instruction], keys: Keys) -> Transaction:
        missing = unsigned(instructions, keys)
        if missing:
            return Transaction(f"it cannot be signed: no key at hand for {', '.join(missing)}", (), "", 0, 0)
        blockhash = Hash.from_string(self._call("getLatestBlockhash", COMMITMENT)["value"]["blockhash"])
        names = dict.fromkeys(name for each in instructions for name in each.lookup_tables)
        transaction = signed(instructions, keys, blockhash, [self._table(name) for name in names])
        text = base64.b64encode(bytes(transaction)).decode()
        # What fails is to land all the same: its logs are a part of the result.
        how = {"encoding": "base64", "skipPreflight": True, "preflightCommitment": "confirmed"}
        signature = self._call("sendTransaction", text, how)
        self._confirm(signature)
        return self._outcome(signature)

    def _table(self, address: str) -> AddressLookupTableAccount:
        account = self.account(address)
        if account is None:
            raise self._error("getAccountInfo", f"there is no address lookup table {address}", START)
        rest = account.data[TABLE_META:]
        keys = [Pubkey.from_bytes(rest[i : i + 32]) for i in range(0, len(rest) - 31, 32)]
        return AddressLookupTableAccount(Pubkey.from_string(address), keys)

    def _confirm(self, signature: str) -> None:
        deadline = time.monotonic() + CONFIRM_SECONDS
        while True:
            (found,) = self._call("getSignatureStatuses", [signature])["value"]
            if found and found.get("confirmationStatus") in ("confirmed", "finalized"):
                return
            if time.monotonic() > deadline:
                why = f"{signature} was not confirmed within {CONFIRM_SECONDS:g} s"
                raise self._error("sendTransaction", why, "see whether the chain makes blocks")
            time.sleep(POLL_SECONDS)

    def _outcome(self, signature: str) -> Transaction:
        how = {"encoding": "base64", "maxSupportedTransactionVersion": 0, **COMMITMENT}
        text = self._text("getTransaction", signature, how)
        try:
            found = GetTransactionResp.from_json(text.decode())
        except SerdeJSONError as error:
            raise self._error("getTransaction", str(error), "see which version the endpoint has") from None
        value = found.value if isinstance(found, GetTransactionResp) else None
        meta = value.transaction.meta if value else None
        if meta is None:
            raise self._error("getTransaction", f"it tells nothing of {signature}", "see the log of the endpoint")
        logs = tuple(meta.log_messages or ())
        failure = error_text(meta.err, logs) if meta.err else None
        return Transaction(failure, logs, signature, meta.compute_units_consumed or 0, meta.fee)

    def _call(self, method: str, *parameters: Any) -> Any:
        return orjson.loads(self._text(method, *parameters))["result"]

    def _text(self, method: str, *parameters: Any) -> bytes:
        """The whole answer, which holds a result."""
        self._number += 1
        asked = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": list(parameters)}
        try:
            answer = self._client.post(self._url, json=asked)
        except httpx.TransportError as error:
            raise self._error(method, str(error) or type(error).__name__, START) from None
        if not answer.is_success:
            why = f"it answered {answer.status_code} {answer.reason_phrase}"
            raise self._error(method, why, "see the address, and the endpoint's limits")
        try:
            found = orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict) or ("result" not in found and "error" not in found):
            raise self._error(method, "what it answered is no JSON-RPC", "see the address")
        if "error" in found:
            raise self._refused(method, found["error"])
        return answer.content

    def _refused(self, method: str, error: Any) -> ChainError:
        error = error if isinstance(error, dict) else {"message": str(error)}
        if error.get("code") == NO_SUCH_METHOD and method.startswith("surfnet_"):
            return self._error(method, "it does not let accounts be set, which the case's initial state needs", START)
        return self._error(method, f"{error.get('message')} (code {error.get('code')})", "see the log of the endpoint")

    def _error(self, method: str, why: str, hint: str) -> ChainError:
        return ChainError(f"calling {method} at", self._shown, why, hint)
