"""A chain behind an RPC endpoint: a surfpool fork, or any validator that lets accounts be set as it does."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx
import orjson
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.errors import SerdeJSONError
from solders.hash import Hash, ParseHashError
from solders.pubkey import Pubkey
from solders.rpc.responses import GetTransactionResp

from runner.chain import Account, Transaction
from runner.chain.signing import error_text, oversized, signed, unsigned
from runner.errors import ChainError
from runner.exchange import MIB, PAUSE, Answer, Exchange, ExchangeError
from runner.instruction import Instruction
from runner.keys import Keys
from runner.site import Site

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
CONFIRM_SECONDS, POLL_SECONDS = 60.0, 0.1
COMMITMENT = {"commitment": "confirmed"}
NO_SUCH_METHOD = -32601
BUSY = (429, -32429, -32005)
"""Of JSON-RPC, where a service says by an error what others say by the status 429; and a node that lags behind."""
MOST_BYTES = 32 * MIB
"""The largest account takes 10 MiB, and a third more as text."""
TABLE_META = 56
"""Bytes of an address lookup table before its addresses (solana-address-lookup-table-interface)."""
START = "start a fork with `surfpool start`, and pass --rpc-url http://127.0.0.1:8899"

T = TypeVar("T")


class RpcChain:
    """`pause`: seconds before a call that the endpoint had no time for is made anew; each time twice as long.

    All calls may be made twice: a transaction that has arrived already is not executed again.
    """

    name = "rpc"

    def __init__(self, url: str, pause: float = PAUSE) -> None:
        """Raises ChainError where nothing answers there."""
        self._site, self._number = Site(url), 0
        if not self._site.usable:
            doing, hint = "connecting to the chain at", "such as http://127.0.0.1:8899"
            raise ChainError(doing, self._site.shown, "it is no address", hint)
        try:
            self._exchange = Exchange(self._site, TIMEOUT, MOST_BYTES, pause=pause)
        except ExchangeError as error:
            raise self._error("getVersion", error.why, error.hint) from None
        self._call("getVersion")

    @property
    def shown(self) -> str:
        """Where it is, without what may be a key."""
        return self._site.shown

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
        return self._call("getAccountInfo", address, {"encoding": "base64", **COMMITMENT}, read=_account)

    def execute(self, instructions: Sequence[Instruction], keys: Keys) -> Transaction:
        missing = unsigned(instructions, keys)
        if missing:
            return Transaction(f"it cannot be signed: no key at hand for {', '.join(missing)}", (), "", 0, 0)
        blockhash = self._call(
            "getLatestBlockhash", COMMITMENT, read=lambda found: Hash.from_string(found["value"]["blockhash"])
        )
        names = dict.fromkeys(name for each in instructions for name in each.lookup_tables)
        transaction = signed(instructions, keys, blockhash, [self._table(name) for name in names])
        if refused := oversized(transaction):
            return Transaction(refused, (), "", 0, 0)
        text = base64.b64encode(bytes(transaction)).decode()
        # What fails is to land all the same: its logs are a part of the result.
        how = {"encoding": "base64", "skipPreflight": True, "preflightCommitment": "confirmed"}
        signature = self._call("sendTransaction", text, how, read=_signature)
        deadline = time.monotonic() + CONFIRM_SECONDS
        self._until(deadline, signature, "it was not confirmed", lambda: self._confirmed(signature))
        return self._until(deadline, signature, "nothing is told of it", lambda: self._outcome(signature))

    def _table(self, address: str) -> AddressLookupTableAccount:
        account = self.account(address)
        if account is None:
            raise self._error("getAccountInfo", f"there is no address lookup table {address}", START)
        rest = account.data[TABLE_META:]
        keys = [Pubkey.from_bytes(rest[i : i + 32]) for i in range(0, len(rest) - 31, 32)]
        return AddressLookupTableAccount(Pubkey.from_string(address), keys)

    def _until(self, deadline: float, signature: str, not_yet: str, look: Callable[[], T | None]) -> T:
        """The first thing that is seen. What one node knows already, the next one may not know yet."""
        while (found := look()) is None:
            if time.monotonic() > deadline:
                why = f"{signature}: {not_yet} within {CONFIRM_SECONDS:g} s"
                raise self._error("sendTransaction", why, "see whether the chain makes blocks")
            time.sleep(POLL_SECONDS)
        return found

    def _confirmed(self, signature: str) -> bool | None:
        status = self._call("getSignatureStatuses", [signature], read=_status)
        return True if status in ("confirmed", "finalized") else None

    def _outcome(self, signature: str) -> Transaction | None:
        how = {"encoding": "base64", "maxSupportedTransactionVersion": 0, **COMMITMENT}
        return self._call("getTransaction", signature, how, read=lambda found: _outcome(signature, found))

    def _call(self, method: str, *parameters: Any, read: Callable[[Any], T] = lambda found: found) -> T:
        """What `read` makes of the result. It may fail in any way in which a strange shape makes it."""
        self._number += 1
        asked = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": list(parameters)}
        try:
            found = self._exchange.ask("POST", "", lambda answer: self._result(method, answer), body=asked)
        except ExchangeError as error:
            hint = error.hint or (START if error.status is None else "see the address, and the endpoint's limits")
            raise self._error(method, error.why, hint) from None
        try:
            return read(found)
        except (TypeError, KeyError, ValueError, IndexError, AttributeError, ParseHashError) as error:
            why = f"its result cannot be read: {type(error).__name__}: {self._site.hide(str(error))}"
            raise self._error(method, why, "see which version the endpoint has") from None

    def _result(self, method: str, answer: Answer) -> Any:
        found = answer.good()
        if not isinstance(found, dict) or not ("result" in found or found.get("error")):
            raise self._error(method, "what it answered is no JSON-RPC", "see the address")
        error = found.get("error")
        if error is None:
            return found["result"]
        error = error if isinstance(error, dict) else {"message": str(error)}
        code, why = error.get("code"), f"{error.get('message')} (code {error.get('code')})"
        if code in BUSY:
            raise ExchangeError(why, again=True, status=answer.status)
        if code == NO_SUCH_METHOD and method.startswith("surfnet_"):
            raise self._error(method, "it does not let accounts be set, which the case's initial state needs", START)
        raise self._error(method, why, "see the log of the endpoint")

    def _error(self, method: str, why: str, hint: str) -> ChainError:
        return ChainError(f"calling {method} at", self._site.shown, why, hint)


def _account(found: Any) -> Account | None:
    value = found["value"]
    if value is None:
        return None
    lamports, owner, executable = value["lamports"], value["owner"], value["executable"]
    if not (isinstance(lamports, int) and isinstance(owner, str) and isinstance(executable, bool)):
        raise ValueError("an account's lamports, owner or executable is of another type")
    return Account(lamports, owner, executable, base64.b64decode(value["data"][0]))


def _signature(found: Any) -> str:
    if not isinstance(found, str) or not found:
        raise ValueError("a transaction's signature is a text")
    return found


def _status(found: Any) -> Any:
    (status,) = found["value"]
    return status["confirmationStatus"] if status else None


def _outcome(signature: str, found: Any) -> Transaction | None:
    """None where the endpoint does not know the transaction yet."""
    if found is None:
        return None
    try:
        response = GetTransactionResp.from_json(orjson.dumps({"jsonrpc": "2.0", "id": 0, "result": found}).decode())
    except SerdeJSONError as error:
        raise ValueError(str(error)) from None
    value = response.value if isinstance(response, GetTransactionResp) else None
    meta = value.transaction.meta if value else None
    if meta is None:
        raise ValueError("it tells nothing of what became of the transaction")
    logs = tuple(meta.log_messages or ())
    failure = error_text(meta.err, logs) if meta.err else None
    return Transaction(failure, logs, signature, meta.compute_units_consumed or 0, meta.fee)
