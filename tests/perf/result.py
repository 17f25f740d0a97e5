"""What one measure found: the figures behind it, their ratio, and what it must reach."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    """ratio is reevd's figure through the floor's. `larger`: whether more is better. No target: for what it tells."""

    measure: str
    ours: float
    floor: float
    unit: str
    must: float | None
    aim: float | None
    larger: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.floor if self.floor else float("inf")

    @property
    def verdict(self) -> str:
        def reached(target: float) -> bool:
            return self.ratio >= target if self.larger else self.ratio <= target

        if self.must is None or self.aim is None:
            return "told"
        return "aim" if reached(self.aim) else "reached" if reached(self.must) else "MISSED"

    def line(self) -> str:
        sign = ">=" if self.larger else "<="
        figures = f"{self.ours:>12,.2f} {self.floor:>12,.2f} {self.unit:<8}"
        goal = f"{self.ratio:>8.2f}x" + (f"  {sign} {self.must:g}x  aim {self.aim:g}x" if self.must else "")
        return f"{self.measure:<44}{figures}{goal:<34}{self.verdict:<8} {self.note}"


HEAD = f"{'measure':<44}{'reevd':>12} {'floor/peer':>12} {'unit':<8}{'ratio':>9}"
