"""What taking tokens back gives and costs, and whether a temperature on the position gives back what confidence loses.

An order that revises is compared with its own rule with nothing taken back (`Order.committing`), so that what differs
is the revision.
"""

from __future__ import annotations

from typing import ClassVar

from flexeval.claims.claim import Claim, Measured
from flexeval.claims.pass_at_k import PassAtKGap, pass_at_k_gap
from flexeval.claims.selection import Group, largest_k
from flexeval.claims.verdict import all_of, judge
from flexeval.claims.wording import points, setting
from flexeval.errors import InputError
from flexeval.orders import get_order
from flexeval.runs.store import Run, alike
from flexeval.stats.bootstrap import paired_difference
from flexeval.stats.diversity import diversity_table
from flexeval.stats.nfe import pass_at_nfe_table


def _needs(*orders: str) -> str:
    """What a claim says that lacks runs."""
    asked = " ".join(f"--order {order}" for order in orders)
    return f"no run of this order; `flexeval passk {asked}` draws what it needs"


class RevisingClaim(Claim):
    """A claim about runs of an order that revises."""

    order: ClassVar[str]
    """Its name; parameters may be any."""

    def concerns(self, group: Group) -> bool:
        """Runs of the order, on whatever task."""
        return any(_revises_as(run, self.order) for run in group.runs)

    def pair(self, group: Group) -> tuple[Run, Run]:
        """The run of the order, and that of its rule with nothing taken back.

        Raises:
            InputError: one of them is missing, or not complete.
        """
        first = _run_of(group, self.order)
        committing = get_order(first.config.order).committing
        if committing is None:
            raise InputError(f"{first.config.order} is no rule that can be had with nothing taken back")
        pair = alike(first, group.find(committing.spec))
        return pair[0], pair[1]


class RaisesAccuracy(RevisingClaim):
    """Pass@1 of an order minus Pass@1 of its rule with nothing taken back, paired by problem. Holds when the interval
    lies above 0. The evaluations of both are given beside it.
    """

    def measure(self, group: Group) -> Measured:
        """See the class."""
        revising, committing = self.pair(group)
        gap = pass_at_k_gap(revising, committing, 1)
        spent = [run.outcomes()["nfe"].mean() for run in (revising, committing)]
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@1, {revising.config.order} minus {committing.config.order}: {points(gap)}; evaluations a "
            f"sample {spent[0]:.1f} and {spent[1]:.1f}; {setting(revising)}",
        )


class WinoRaisesAccuracy(RaisesAccuracy):
    """`wino`. Holds when it has a higher Pass@1 than its rule with nothing taken back, see `RaisesAccuracy`."""

    name = "wino-raises-accuracy"
    sentence = "Masking doubtful tokens again (WINO) makes parallel decoding more accurate."
    source = "arXiv:2507.18578"
    order = "wino"
    lacking = _needs("wino", "wino:tau_back=0")


class RemdmRaisesAccuracy(RaisesAccuracy):
    """`remdm`. Holds when it has a higher Pass@1 than its rule with nothing taken back, see `RaisesAccuracy`."""

    name = "remdm-raises-accuracy"
    sentence = "Masking tokens again at random (ReMDM) makes samples better."
    source = "arXiv:2503.00307"
    order = "remdm"
    lacking = _needs("remdm", "remdm:eta=0")


class EditingRaisesAccuracy(RaisesAccuracy):
    """`edit`. Holds when it has a higher Pass@1 than its rule with nothing taken back, see `RaisesAccuracy`. LLaDA2.1
    was trained to correct what it sees; other models were not.
    """

    name = "editing-raises-accuracy"
    sentence = "Rewriting tokens that a draw contradicts (editing) makes parallel decoding more accurate."
    source = "arXiv:2602.08676"
    order = "edit"
    lacking = _needs("edit", "edit:tau_edit=1")


class MaskingBeatsRewriting(RevisingClaim):
    """Pass@1 of `t2m` minus Pass@1 of `edit`, paired by problem. Holds when the interval lies above 0."""

    name = "masking-beats-rewriting"
    sentence = "Masking a suspect token again is more accurate than rewriting it."
    source = "arXiv:2604.18738"
    order = "t2m"
    lacking = _needs("t2m", "edit")

    def measure(self, group: Group) -> Measured:
        """See the class."""
        masking, rewriting = alike(_run_of(group, "t2m"), _run_of(group, "edit"))
        gap = pass_at_k_gap(masking, rewriting, 1)
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@1, {masking.config.order} minus {rewriting.config.order}: {points(gap)}; {setting(masking)}",
        )


class WinoNarrowsAnswers(RevisingClaim):
    """Distinct answers, of all samples of a problem, under `wino` minus those of its rule with nothing taken back,
    paired by problem. Holds when the interval lies below 0. Pass@k at the largest k is given beside it.
    """

    name = "wino-narrows-answers"
    sentence = "At T > 0, masking by confidence again (WINO) narrows what the samples answer."
    source = "arXiv:2606.12232"
    order = "wino"
    lacking = _needs("wino", "wino:tau_back=0")

    def measure(self, group: Group) -> Measured:
        """See the class."""
        revising, committing = self.pair(group)
        k = largest_k(revising, committing)
        tables = (diversity_table(run.outcomes())[["distinct_answers"]] for run in (revising, committing))
        gap = paired_difference(*tables, largest=1.0)["distinct_answers"]
        return Measured(
            interval=gap,
            judgement=judge(gap, below=0),
            words=f"distinct answers in 100 samples, {revising.config.order} minus {committing.config.order}: "
            f"{gap.text('+.1f', scale=100)}; Pass@{k} {points(pass_at_k_gap(revising, committing, k))}; "
            f"{setting(revising)}",
        )


class PositionTemperatureClosesGap(PassAtKGap):
    """Pass@k of `tlc` minus Pass@k of `ar` at the largest k, paired by problem. Holds when the interval lies above
    minus three points. The same at k = 1 is given beside it.
    """

    name = "position-temperature-closes-the-gap"
    sentence = "A temperature on the position (tlc) gives confidence order the Pass@k of AR order."
    source = "arXiv:2604.09921"
    first, second, at_largest_k = "tlc", "ar", True
    margin = 0.03
    with_other_k = True
    lacking = "no plain run of tlc and ar"


class PositionTemperatureAtEqualCost(RevisingClaim):
    """Pass@NFE of `tct` minus that of `ar`, and minus that of `confidence`, at the most evaluations that all samples of
    any problem cost at least, paired by problem. Holds when both intervals lie above 0.
    """

    name = "position-temperature-at-equal-cost"
    sentence = "At an equal number of evaluations, accepting by a tempered threshold (tct) exceeds both orders."
    source = "arXiv:2604.09921"
    order = "tct"
    lacking = _needs("tct", "ar", "confidence")

    def measure(self, group: Group) -> Measured:
        """See the class."""
        tct, ar, confidence = alike(_run_of(group, "tct"), group.find("ar"), group.find("confidence"))
        largest_k(tct, ar, confidence)
        outcomes = {run.config.order: run.outcomes() for run in (tct, ar, confidence)}
        budget = min(int(own.groupby("problem_id", observed=True)["nfe"].sum().min()) for own in outcomes.values())
        tables = {order: pass_at_nfe_table(own, [budget]) for order, own in outcomes.items()}
        gaps = {
            order: paired_difference(tables[tct.config.order], tables[order], largest=1.0)[budget]
            for order in ("ar", "confidence")
        }
        return Measured(
            interval=gaps["ar"],
            judgement=all_of(*(judge(gap, above=0) for gap in gaps.values())),
            words=f"solved within {budget} evaluations a problem, {tct.config.order} minus ar: {points(gaps['ar'])}; "
            f"minus confidence: {points(gaps['confidence'])}; {setting(tct)}",
        )


def _revises_as(run: Run, name: str) -> bool:
    """Whether a run is of the order of this name, and not of that order with its revising off."""
    order = get_order(run.config.order)
    return order.name == name and order != order.committing


def _run_of(group: Group, name: str) -> Run:
    """The run of the order of this name, whatever its parameters; first one that can be had with nothing taken back."""
    orders = dict.fromkeys(run.config.order for run in group.runs if _revises_as(run, name))
    for order in sorted(orders, key=lambda order: get_order(order).committing is None):
        if (run := group.lookup(order)) is not None:
            return run
    raise InputError(f"needs a run of {name} at T = {group.temperature:g}, block {group.block}")
