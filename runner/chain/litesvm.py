"""The embedded chain: the Solana runtime inside this process, fresh for each run."""

from __future__ import annotations

import mmap
from collections.abc import Sequence

from solders.account import Account as SolanaAccount
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata

from runner.chain import Account, Transaction
from runner.chain.signing import error_text, oversized, signed, unsigned
from runner.errors import ChainError
from runner.instruction import Instruction
from runner.keys import Keys

STARTING = "starting the embedded chain"


class EmbeddedChain:
    """A chain with the system, token and associated token programs, and no accounts but theirs."""

    name = "litesvm"

    def __init__(self) -> None:
        """Raises ChainError where this process may not run machine code that it compiles."""
        _require_executable_memory()
        self._vm = LiteSVM()

    def put(self, address: str, account: Account) -> None:
        state = SolanaAccount(
            account.lamports, account.data, Pubkey.from_string(account.owner), executable=account.executable
        )
        self._vm.set_account(Pubkey.from_string(address), state)

    def account(self, address: str) -> Account | None:
        state = self._vm.get_account(Pubkey.from_string(address))
        if state is None:
            return None
        return Account(state.lamports, str(state.owner), state.executable, bytes(state.data))

    def execute(self, instructions: Sequence[Instruction], keys: Keys) -> Transaction:
        missing = unsigned(instructions, keys)
        if missing:
            return Transaction(f"it cannot be signed: no key at hand for {', '.join(missing)}", (), "", 0, 0)
        transaction = signed(instructions, keys, self._vm.latest_blockhash())
        refused = oversized(transaction)
        if refused:
            return Transaction(refused, (), "", 0, 0)
        sent = self._vm.send_transaction(transaction)
        meta = sent.meta() if isinstance(sent, FailedTransactionMetadata) else sent
        logs = tuple(meta.logs())
        error = error_text(sent.err(), logs) if isinstance(sent, FailedTransactionMetadata) else None
        # The next transaction may be the same one again; it must not count as a repetition of this.
        self._vm.expire_blockhash()
        return Transaction(error, logs, str(meta.signature()), meta.compute_units_consumed(), meta.fee())


def _require_executable_memory() -> None:
    # Asked first because the VM, refused, aborts with a panic and a page of its inner calls on stderr.
    flags, rights = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    try:
        mmap.mmap(-1, mmap.PAGESIZE, flags=flags, prot=rights).close()
    except PermissionError:
        why = "this process may not make memory executable, and the VM compiles programs to machine code"
        raise ChainError(STARTING, "LiteSVM", why, "start it without MemoryDenyWriteExecute= (PR_SET_MDWE)") from None
