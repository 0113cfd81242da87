"""Claims about which problems an order solves with k samples: what arbitrary order (`confidence`) gains at one try and
loses at many, whether orders that select before they draw keep it, and where order freedom is said to help.
"""

from __future__ import annotations

from typing import ClassVar

from flexeval.claims.claim import Claim, Measured
from flexeval.claims.selection import Group, is_constraint_task, largest_k
from flexeval.claims.verdict import all_of, judge
from flexeval.claims.wording import (
    coverage_points,
    percent,
    points,
    published_coverage,
    published_pass_at_k_gap,
    setting,
)
from flexeval.errors import InputError
from flexeval.runs.store import Run, alike
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.intervals import Difference

NOT_WORSE = 0.03
"""The margin of "not worse", a fraction of Pass@k: a loss of three points counts as a loss."""
NEARLY_ALL = 0.95
"""The share from which a set is nearly a subset: fewer than one problem in twenty lies outside."""


def pass_at_k_gap(first: Run, second: Run, k: int) -> Difference:
    """Pass@k of the first run minus that of the second, paired by problem; a fraction."""
    return pass_at_k_differences(first.counts(), second.counts(), ks=[k])[k]


class PassAtKGap(Claim):
    """Pass@k of one order minus Pass@k of another, paired by problem. Holds when the interval lies above minus the
    margin.
    """

    first: ClassVar[str]
    """The order that is said to be better, or not worse."""
    second: ClassVar[str]
    at_largest_k: ClassVar[bool]
    """At the largest k that both runs have samples for; else at k = 1."""
    margin: ClassVar[float] = 0.0
    """A fraction."""
    with_other_k: ClassVar[bool] = False
    """Give the difference at the other k (1, or the largest), too."""
    with_published: ClassVar[bool] = False
    """Give the difference of the published numbers, too."""

    def measure(self, group: Group) -> Measured:
        """See the class."""
        # The block length of AR order changes nothing, so the setting is that of the other run.
        orders = sorted((self.first, self.second), key=lambda order: order == "ar")
        runs = dict(zip(orders, alike(*map(group.find, orders)), strict=True))
        first, second = runs[self.first], runs[self.second]
        largest = largest_k(first, second) if self.at_largest_k or self.with_other_k else 1
        k, other_k = (largest, 1) if self.at_largest_k else (1, largest)

        gap = pass_at_k_gap(first, second, k)
        margin = f", margin {100 * self.margin:g} points" if self.margin else ""
        beside = f"; Pass@{other_k} {_in_points(first, second, other_k)}" if self.with_other_k else ""
        return Measured(
            interval=gap,
            judgement=judge(gap, above=-self.margin),
            words=f"Pass@{k}, {self.first} minus {self.second}: {_in_points(first, second, k)}{margin}{beside}; "
            f"{setting(runs[orders[0]])}",
            published=published_pass_at_k_gap(first, second, k) if self.with_published else None,
        )


class NotWorseAtOne(PassAtKGap):
    """Pass@1 of `confidence` minus Pass@1 of `ar`, paired by problem. Holds when the interval lies above minus three
    points (`NOT_WORSE`): a claim of non-inferiority.
    """

    name = "arbitrary-order-not-worse-at-1"
    sentence = "At k = 1, arbitrary order is not worse than AR order."
    source = "arXiv:2601.15165, Figure 3 and Table 4"
    first, second, at_largest_k = "confidence", "ar", False
    margin = NOT_WORSE
    with_published = True


class ArBetterAtLargestK(PassAtKGap):
    """Pass@k of `ar` minus Pass@k of `confidence` at the largest k that both runs have samples for, paired by problem.
    Holds when the interval lies above 0.
    """

    name = "ar-better-at-largest-k"
    sentence = "At the largest k, AR order solves more problems than arbitrary order."
    source = "arXiv:2601.15165, Figure 3 and Table 4"
    first, second, at_largest_k = "ar", "confidence", True
    with_published = True


class EgiExceedsAr(PassAtKGap):
    """Pass@k of `egi` minus Pass@k of `ar` at the largest k, paired by problem. Holds when the interval lies above 0.
    The same at k = 1 is given beside it.
    """

    name = "egi-exceeds-ar"
    sentence = "egi, which opens at the most uncertain position, exceeds AR order."
    source = "arXiv:2609.34509"
    first, second, at_largest_k = "egi", "ar", True
    with_other_k = True


class OrderFreedomHelps(PassAtKGap):
    """Pass@1 of `confidence` minus Pass@1 of `ar` on tasks whose parts constrain each other, paired by problem. Holds
    when the interval lies above 0. The same at the largest k is given beside it.
    """

    name = "order-freedom-helps-sudoku"
    sentence = "On Sudoku, order freedom helps: arbitrary order solves more at one try than AR order."
    source = "arXiv:2502.06768"
    lacking = "no plain run of a constraint task, such as sudoku4"
    first, second, at_largest_k = "confidence", "ar", False
    with_other_k = True

    def concerns(self, group: Group) -> bool:
        """Constraint tasks."""
        return is_constraint_task(group.task)


class NearlySubset(Claim):
    """Of the problems that `confidence` solves with any of n samples, the share that `ar` solves with any of n. Holds
    when the (Wilson) interval lies above 95 % (`NEARLY_ALL`). Where both solve nearly everything it holds for that
    reason alone, so the counts are given, too.
    """

    name = "nearly-a-subset"
    sentence = "What arbitrary order solves is nearly a subset of what AR order solves."
    share = True
    source = "arXiv:2601.15165, Figure 4"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        confidence, ar = alike(group.find("confidence"), group.find("ar"))
        k = largest_k(confidence, ar)
        found = coverage(ar.counts(), confidence.counts())
        share = found.share_of_b
        if share is None:
            raise InputError(f"needs a problem that confidence solves with {k} samples, and it solves none")
        return Measured(
            interval=share,
            judgement=judge(share, above=NEARLY_ALL),
            words=f"ar solves {percent(share)} of what confidence solves, with {k} samples each; only ar "
            f"{found.a_only}, only confidence {found.b_only}, both {found.both}, neither {found.neither} of "
            f"{found.problems} problems; {setting(confidence)}",
            published=published_coverage(ar, confidence),
        )


class TopProbRecovers(Claim):
    """Pass@k of `top_prob` minus Pass@k of `ar`, and minus Pass@k of `confidence`, at the largest k, paired by problem.
    Holds when the interval of the first lies above minus three points (`NOT_WORSE`) and that of the second above 0: no
    worse than AR order, and better than the order that is to have lost something. Where `confidence` loses nothing
    there is nothing to recover, and the claim is not shown.

    It is later work's answer: the filter of low-confidence remasking, not the order, loses the coverage.
    """

    name = "top-prob-recovers"
    sentence = "top_prob, which chooses the position before it draws the token, keeps AR order's Pass@k."
    source = "arXiv:2609.34509"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        top_prob, ar, confidence = alike(group.find("top_prob"), group.find("ar"), group.find("confidence"))
        k = largest_k(top_prob, ar, confidence)
        gap = pass_at_k_gap(top_prob, ar, k)
        gain = pass_at_k_gap(top_prob, confidence, k)
        return Measured(
            interval=gap,
            judgement=all_of(judge(gap, above=-NOT_WORSE), judge(gain, above=0)),
            words=f"Pass@{k}, top_prob minus ar: {coverage_points(gap)}, margin {100 * NOT_WORSE:g} points; minus "
            f"confidence: {coverage_points(gain)}; {setting(top_prob)}",
        )


def _in_points(first: Run, second: Run, k: int) -> str:
    """The difference in words; with the exact test where k are all samples."""
    gap = pass_at_k_gap(first, second, k)
    return points(gap) if k == 1 else coverage_points(gap)
