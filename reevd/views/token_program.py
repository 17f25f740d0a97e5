"""The instructions of the token program, and of Token-2022, which begins with the same. Pure.

Source: the programs' TokenInstruction: the first byte is the instruction's number.
"""

from __future__ import annotations

from reevd.views.layout import Form

_MINT = "decimals:u8 authority:key freeze_authority:maybe_key"
_CHECKED = "amount:tokens decimals:u8"

FORMS = {
    0: Form("InitializeMint", _MINT, "mint rent", "{mint} with {decimals} decimals, minted by {authority}"),
    1: Form("InitializeAccount", "", "account mint owner rent", "{account} for {mint} of {owner}"),
    2: Form("InitializeMultisig", "signatures:u8", "multisig rent", "{multisig} of {signatures} signatures"),
    3: Form("Transfer", "amount:tokens", "source destination owner", "{amount} from {source} to {destination}"),
    4: Form("Approve", "amount:tokens", "source delegate owner", "{delegate} may move {amount} of {source}"),
    5: Form("Revoke", "", "source owner", "no one but its owner may move {source}"),
    6: Form("SetAuthority", "kind:u8 to:maybe_key", "account authority", "of {account} (kind {kind}) to {to}"),
    7: Form("MintTo", "amount:tokens", "mint destination authority", "{amount} to {destination}"),
    8: Form("Burn", "amount:tokens", "source mint owner", "{amount} of {source}"),
    9: Form("CloseAccount", "", "account destination owner", "{account}, its SOL to {destination}"),
    10: Form("FreezeAccount", "", "account mint authority", "{account}"),
    11: Form("ThawAccount", "", "account mint authority", "{account}"),
    12: Form("TransferChecked", _CHECKED, "source mint destination owner", "{amount} from {source} to {destination}"),
    13: Form("ApproveChecked", _CHECKED, "source mint delegate owner", "{delegate} may move {amount} of {source}"),
    14: Form("MintToChecked", _CHECKED, "mint destination authority", "{amount} to {destination}"),
    15: Form("BurnChecked", _CHECKED, "source mint owner", "{amount} of {source}"),
    16: Form("InitializeAccount2", "owner:key", "account mint rent", "{account} for {mint} of {owner}"),
    17: Form("SyncNative", "", "account", "{account}"),
    18: Form("InitializeAccount3", "owner:key", "account mint", "{account} for {mint} of {owner}"),
    19: Form("InitializeMultisig2", "signatures:u8", "multisig", "{multisig} of {signatures} signatures"),
    20: Form("InitializeMint2", _MINT, "mint", "{mint} with {decimals} decimals, minted by {authority}"),
    21: Form("GetAccountDataSize", "", "mint", "of {mint}"),
    22: Form("InitializeImmutableOwner", "", "account", "{account}"),
    23: Form("AmountToUiAmount", "amount:tokens", "mint", "{amount}"),
    24: Form("UiAmountToAmount", "", "mint", "of {mint}"),
}

# Its extensions are known by name alone, but for the transfer with a fee, which has a number below its own.
TRANSFER_WITH_FEE = bytes((26, 1))
WITH_FEE = Form(
    "TransferCheckedWithFee",
    "amount:tokens decimals:u8 fee:tokens",
    "source mint destination owner",
    "{amount} from {source} to {destination}, of which {fee} are the fee",
)
EXTENSIONS = {
    25 + number: Form(name)
    for number, name in enumerate(
        (
            "InitializeMintCloseAuthority",
            "TransferFeeExtension",
            "ConfidentialTransferExtension",
            "DefaultAccountStateExtension",
            "Reallocate",
            "MemoTransferExtension",
            "CreateNativeMint",
            "InitializeNonTransferableMint",
            "InterestBearingMintExtension",
            "CpiGuardExtension",
            "InitializePermanentDelegate",
            "TransferHookExtension",
            "ConfidentialTransferFeeExtension",
            "WithdrawExcessLamports",
            "MetadataPointerExtension",
            "GroupPointerExtension",
            "GroupMemberPointerExtension",
        )
    )
}
