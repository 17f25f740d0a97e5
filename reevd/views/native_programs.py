"""The instructions of the programs that every chain has: System, Compute Budget, Associated Token. Pure.

Source: SystemInstruction (its number takes four bytes), ComputeBudgetInstruction and AssociatedTokenAccountInstruction
(one byte each).
"""

from __future__ import annotations

from reevd.views.layout import Form

_NONCE = "nonce recent_blockhashes"

SYSTEM_FORMS = {
    0: Form(
        "CreateAccount",
        "lamports:sol space:u64 owner:key",
        "funder account",
        "{account} with {lamports} from {funder}, {space} bytes, owned by {owner}",
    ),
    1: Form("Assign", "owner:key", "account", "{account} to {owner}"),
    2: Form("Transfer", "lamports:sol", "from to", "{lamports} from {from} to {to}"),
    3: Form(
        "CreateAccountWithSeed",
        "base:key seed:seed lamports:sol space:u64 owner:key",
        "funder account base",
        "{account} with {lamports} from {funder}, {space} bytes, owned by {owner}, of seed {seed}",
    ),
    4: Form("AdvanceNonceAccount", "", f"{_NONCE} authority", "{nonce}"),
    5: Form("WithdrawNonceAccount", "lamports:sol", "nonce to recent_blockhashes rent authority",
            "{lamports} from {nonce} to {to}"),
    6: Form("InitializeNonceAccount", "authority:key", f"{_NONCE} rent", "{nonce} of {authority}"),
    7: Form("AuthorizeNonceAccount", "to:key", "nonce authority", "{nonce} from {authority} to {to}"),
    8: Form("Allocate", "space:u64", "account", "{space} bytes for {account}"),
    9: Form("AllocateWithSeed", "base:key seed:seed space:u64 owner:key", "account", "{space} bytes for {account}"),
    10: Form("AssignWithSeed", "base:key seed:seed owner:key", "account base", "{account} to {owner}"),
    11: Form("TransferWithSeed", "lamports:sol seed:seed owner:key", "from base to", "{lamports} from {from} to {to}"),
    12: Form("UpgradeNonceAccount", "", "nonce", "{nonce}"),
}  # fmt: skip

COMPUTE_BUDGET_FORMS = {
    0: Form("RequestUnits", "units:u32 fee:u32", "", "{units} compute units"),
    1: Form("RequestHeapFrame", "bytes:u32", "", "{bytes} bytes"),
    2: Form("SetComputeUnitLimit", "units:u32", "", "{units} compute units"),
    3: Form("SetComputeUnitPrice", "price:u64", "", "{price} micro-lamports for a unit"),
    4: Form("SetLoadedAccountsDataSizeLimit", "bytes:u32", "", "{bytes} bytes"),
}

_CREATE = "payer account wallet mint system_program token_program"

ASSOCIATED_TOKEN_FORMS = {
    0: Form("Create", "", _CREATE, "{account} for {mint} of {wallet}, paid by {payer}"),
    1: Form("CreateIdempotent", "", _CREATE, "{account} for {mint} of {wallet}, unless it is there, paid by {payer}"),
    2: Form("RecoverNested", "", "nested nested_mint destination owner owner_mint wallet token_program",
            "{nested} to {destination}"),
}  # fmt: skip
