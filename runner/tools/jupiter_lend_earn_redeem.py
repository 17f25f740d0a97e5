"""jupiter_lend_earn_redeem: redeem shares of Jupiter Lend."""

from __future__ import annotations

from runner.tools import Tool
from runner.tools.jupiter_lend import ByShares, shares

TOOL = Tool(
    "jupiter_lend_earn_redeem",
    "Redeem shares of a Jupiter Lend vault for the asset.",
    ByShares,
    shares("redeem"),
)
