"""The ways to solve a problem: a plan is a list of two-number steps that ends at the answer.

Five methods. *order*: follow the story. *gains first*: all gains, then all losses, each in any order.
*free*: the changes in any order that never goes below zero. *apart*: sum the gains and the losses, then
add one sum and take away the other. *net*: set the two sums off against each other, then change the start
once. Packs are multiplied out first or when they are needed. Which method and which order is a free choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flexeval.tasks.drawing import Draw
from flexeval.tasks.word_problems.skeleton import Quantity, Skeleton

Role = Literal["change", "packs", "gains", "losses", "add sum", "subtract sum", "net", "add net", "subtract net"]

_METHODS = ("order", "gains first", "free", "apart", "net")
_METHOD_WEIGHTS = (0.35, 0.2, 0.15, 0.2, 0.1)


@dataclass(frozen=True)
class Step:
    """One calculation of a plan."""

    role: Role
    equations: tuple[tuple[int, str, int, int], ...]
    """(left, sign, right, result): one, or a chain where more than two numbers are summed."""
    place: int = -1
    """Which change of the story it takes up; -1 for none (or for the packs of the start)."""

    @property
    def result(self) -> int:
        """The last result."""
        return self.equations[-1][3]

    @property
    def text(self) -> str:
        """The calculation in symbols: "5 + 3 = 8"."""
        return " and ".join(f"{left} {sign} {right} = {result}" for left, sign, right, result in self.equations)


def draw_plan(draw: Draw, skeleton: Skeleton) -> list[Step]:
    """One way to solve the problem. The last step's result is the answer."""
    method = draw.pick_weighted(_METHODS, _METHOD_WEIGHTS)
    gains = [i for i, change in enumerate(skeleton.changes) if change.sign > 0]
    losses = [i for i, change in enumerate(skeleton.changes) if change.sign < 0]
    if method in ("apart", "net") and (not gains or not losses or len(gains) + len(losses) < 3):
        method = "order"
    if method == "order":
        steps = _one_by_one(skeleton, list(range(len(skeleton.changes))))
    elif method == "gains first":
        steps = _one_by_one(skeleton, draw.shuffled(gains) + draw.shuffled(losses))
    elif method == "free":
        steps = _one_by_one(skeleton, _free_order(draw, skeleton))
    else:
        steps = _summed(draw, skeleton, gains, losses, net=method == "net")
    return _with_packs(draw, skeleton, steps)


def _free_order(draw: Draw, skeleton: Skeleton) -> list[int]:
    """A uniformly random order of the changes among those that keep the total at zero or more."""
    while True:
        order = draw.shuffled(range(len(skeleton.changes)))
        total = skeleton.start.value
        for place in order:
            total += skeleton.changes[place].signed
            if total < 0:
                break
        else:
            return order


def _one_by_one(skeleton: Skeleton, order: list[int]) -> list[Step]:
    total = skeleton.start.value
    steps = []
    for place in order:
        change = skeleton.changes[place]
        steps.append(_step("change", total, change.sign, change.amount.value, place))
        total = steps[-1].result
    return steps


def _summed(draw: Draw, skeleton: Skeleton, gains: list[int], losses: list[int], *, net: bool) -> list[Step]:
    """Sum each side (a side of one needs no sum), then combine."""
    sums = []
    for role, places in (("gains", gains), ("losses", losses)):
        values = [skeleton.changes[place].amount.value for place in places]
        if len(values) > 1:
            sums.append(_sum_step(role, draw.shuffled(values)))
    sums = draw.shuffled(sums)
    start = skeleton.start.value
    gained = sum(skeleton.changes[place].amount.value for place in gains)
    lost = sum(skeleton.changes[place].amount.value for place in losses)
    if not net:
        added = _step("add sum", start, +1, gained)
        return [*sums, added, _step("subtract sum", added.result, -1, lost)]
    difference = _step("net", max(gained, lost), -1, min(gained, lost))
    sign = +1 if gained >= lost else -1
    return [*sums, difference, _step("add net" if sign > 0 else "subtract net", start, sign, difference.result)]


def _sum_step(role: str, values: list[int]) -> Step:
    total = values[0]
    equations = []
    for value in values[1:]:
        equations.append((total, "+", value, total + value))
        total += value
    return Step("gains" if role == "gains" else "losses", tuple(equations))


def _with_packs(draw: Draw, skeleton: Skeleton, steps: list[Step]) -> list[Step]:
    """Multiply packs out: at the very beginning, or just before the step that first needs them."""
    plan = list(steps)
    quantities = [(-1, skeleton.start), *enumerate(change.amount for change in skeleton.changes)]
    for place, quantity in quantities:
        if quantity.packs > 1:
            position = 0 if draw.chance(0.5) else _first_use(skeleton, plan, place, quantity)
            plan.insert(position, Step("packs", ((quantity.packs, "*", quantity.each, quantity.value),), place))
    return plan


def _first_use(skeleton: Skeleton, plan: list[Step], place: int, quantity: Quantity) -> int:
    """The index of the first step that uses a quantity."""
    if place >= 0:
        for index, step in enumerate(plan):
            side = "gains" if skeleton.changes[place].sign > 0 else "losses"
            if step.place == place or step.role == side:
                return index
        # A side of one is never summed: it is used where the sides are combined.
        combining = ("add sum", "net") if skeleton.changes[place].sign > 0 else ("subtract sum", "net")
        return next(index for index, step in enumerate(plan) if step.role in combining)
    needing_start = ("change", "add sum", "add net", "subtract net")
    return next(index for index, step in enumerate(plan) if step.role in needing_start)


def _step(role: Role, left: int, sign: int, right: int, place: int = -1) -> Step:
    result = left + sign * right
    return Step(role, ((left, "+" if sign > 0 else "-", right, result),), place)
