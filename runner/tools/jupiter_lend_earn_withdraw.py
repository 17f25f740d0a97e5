"""jupiter_lend_earn_withdraw: withdraw tokens of Jupiter Lend."""

from __future__ import annotations

from runner.tools import Tool
from runner.tools.jupiter_lend import ByAmount, amount

TOOL = Tool(
    "jupiter_lend_earn_withdraw",
    "Withdraw tokens from Jupiter Lend. The amount is in the smallest unit of the asset.",
    ByAmount,
    amount("withdraw"),
)
