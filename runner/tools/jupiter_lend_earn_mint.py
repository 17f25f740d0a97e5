"""jupiter_lend_earn_mint: mint shares of Jupiter Lend."""

from __future__ import annotations

from runner.tools import Tool
from runner.tools.jupiter_lend import ByShares, shares

TOOL = Tool(
    "jupiter_lend_earn_mint",
    "Mint shares of a Jupiter Lend vault, paying as much of the asset as they cost.",
    ByShares,
    shares("mint"),
)
