"""Instructions to a signed transaction, and a chain's error to text: what every chain needs."""

from __future__ import annotations

from collections.abc import Sequence

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta as SolanaMeta
from solders.instruction import Instruction as SolanaInstruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import Transaction as SolanaTransaction
from solders.transaction import VersionedTransaction
from solders.transaction_status import (
    InstructionErrorBorshIO,
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
    TransactionErrorType,
)

from runner.instruction import Instruction
from runner.keys import Keys

PACKET_BYTES = 1232
"""The most that a node takes as one transaction: what IPv6 carries whole (1,280), less its headers."""


def oversized(transaction: SolanaTransaction | VersionedTransaction) -> str | None:
    """Why no node would take it, or None."""
    size = len(bytes(transaction))
    if size <= PACKET_BYTES:
        return None
    return f"Error processing the transaction: it has {size:,} bytes, and a node takes {PACKET_BYTES:,} at most"


def unsigned(instructions: Sequence[Instruction], keys: Keys) -> list[str]:
    """The addresses that must sign and whose key this run does not hold, sorted."""
    needed = {meta.pubkey for each in instructions for meta in each.accounts if meta.is_signer} | {keys.payer}
    return sorted(needed - keys.signers.keys())


def signed(
    instructions: Sequence[Instruction],
    keys: Keys,
    blockhash: Hash,
    tables: Sequence[AddressLookupTableAccount] = (),
) -> SolanaTransaction | VersionedTransaction:
    """One transaction of all instructions, paid by `keys.payer`. Every signer's key must be at hand."""
    payer = Pubkey.from_string(keys.payer)
    solana = [_solana(each) for each in instructions]
    if tables:
        versioned = MessageV0.try_compile(payer, solana, list(tables), blockhash)
        signers = versioned.account_keys[: versioned.header.num_required_signatures]
        return VersionedTransaction(versioned, [keys.signers[str(key)] for key in signers])
    message = Message.new_with_blockhash(solana, payer, blockhash)
    pairs: list[Keypair] = [
        keys.signers[str(key)] for key in message.account_keys[: message.header.num_required_signatures]
    ]
    return SolanaTransaction(pairs, message, blockhash)


def _solana(instruction: Instruction) -> SolanaInstruction:
    metas = [
        SolanaMeta(Pubkey.from_string(meta.pubkey), meta.is_signer, meta.is_writable) for meta in instruction.accounts
    ]
    return SolanaInstruction(Pubkey.from_string(instruction.program_id), instruction.data, metas)


def error_text(error: TransactionErrorType, logs: Sequence[str]) -> str:
    """Such as `Error processing Instruction 0: custom program error: 0x1 (InstructionError(0, Custom(1)))`.

    The words are the program's own last ones in the logs, where it left any.
    """
    if not isinstance(error, TransactionErrorInstructionError):
        return f"Error processing the transaction: {_variant(error)}"
    cause = error.err
    said = next((line.split(" failed: ", 1)[1] for line in reversed(logs) if " failed: " in line), None)
    if isinstance(cause, InstructionErrorCustom):
        variant, said = f"Custom({cause.code})", f"custom program error: {cause.code:#x}"
    elif isinstance(cause, InstructionErrorBorshIO):
        variant = "BorshIoError"
    else:
        variant = str(cause).rpartition(".")[2]
    return f"Error processing Instruction {error.index}: {said or variant} (InstructionError({error.index}, {variant}))"


def _variant(error: TransactionErrorType) -> str:
    match error:
        case TransactionErrorDuplicateInstruction():
            return f"DuplicateInstruction({error.index})"
        case TransactionErrorInsufficientFundsForRent():
            return f"InsufficientFundsForRent {{ account_index: {error.account_index} }}"
        case TransactionErrorProgramExecutionTemporarilyRestricted():
            return f"ProgramExecutionTemporarilyRestricted {{ account_index: {error.account_index} }}"
    return str(error).rpartition(".")[2]
