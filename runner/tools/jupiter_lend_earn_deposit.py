"""jupiter_lend_earn_deposit: deposit tokens of Jupiter Lend."""

from __future__ import annotations

from runner.tools import Tool
from runner.tools.jupiter_lend import ByAmount, amount

TOOL = Tool(
    "jupiter_lend_earn_deposit",
    "Deposit tokens into Jupiter Lend to earn interest. The amount is in the smallest unit of the asset.",
    ByAmount,
    amount("deposit"),
)
