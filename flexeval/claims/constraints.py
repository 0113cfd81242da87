"""Where order freedom is said to help: problems whose parts constrain each other."""

from __future__ import annotations

from flexeval.claims.arbitrary_order import pass_at_k_gap
from flexeval.claims.claim import Claim, Measured
from flexeval.claims.selection import Group, is_constraint_task, largest_k
from flexeval.claims.verdict import judge
from flexeval.claims.wording import coverage_points, points, setting
from flexeval.runs.store import alike


class OrderFreedomHelps(Claim):
    """Pass@1 of `confidence` minus Pass@1 of `ar`, paired by problem. Holds when the interval lies above 0. The same at
    the largest k is given beside it.
    """

    name = "order-freedom-helps-sudoku"
    sentence = "On Sudoku, order freedom helps: arbitrary order solves more at one try than AR order."
    source = "arXiv:2502.06768"
    lacking = "no plain run of a constraint task, such as sudoku4"

    def concerns(self, group: Group) -> bool:
        """Constraint tasks."""
        return is_constraint_task(group.task)

    def measure(self, group: Group) -> Measured:
        """See the class."""
        confidence, ar = alike(group.find("confidence"), group.find("ar"))
        k = largest_k(confidence, ar)
        gap = pass_at_k_gap(confidence, ar, 1)
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@1, confidence minus ar: {points(gap)}; Pass@{k} "
            f"{coverage_points(pass_at_k_gap(confidence, ar, k))}; {setting(confidence)}",
        )
