"""The paper's first half: what arbitrary order (`confidence`) gains at one try and loses at many."""

from __future__ import annotations

from flexeval.claims import paper
from flexeval.claims.claim import Claim, Measured
from flexeval.claims.selection import Group, largest_k
from flexeval.claims.verdict import judge
from flexeval.claims.wording import coverage_points, percent, points, setting
from flexeval.runs.store import Run, alike
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import pass_at_k_differences
from flexeval.stats.intervals import Difference, Interval

NOT_WORSE = 0.03
"""The margin of "not worse", a fraction of Pass@k: a loss of three points counts as a loss."""
NEARLY_ALL = 0.95
"""The share from which a set is nearly a subset: fewer than one problem in twenty lies outside."""


def pass_at_k_gap(first: Run, second: Run, k: int) -> Difference:
    """Pass@k of the first run minus that of the second, paired by problem; a fraction."""
    return pass_at_k_differences(first.counts(), second.counts(), ks=[k])[k]


class NotWorseAtOne(Claim):
    """Pass@1 of `confidence` minus Pass@1 of `ar`, paired by problem. Holds when the interval lies above minus three
    points (`NOT_WORSE`): a claim of non-inferiority.
    """

    name = "arbitrary-order-not-worse-at-1"
    sentence = "At k = 1, arbitrary order is not worse than AR order."
    source = "arXiv:2601.15165, Figure 3 and Table 4"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        confidence, ar = alike(group.find("confidence"), group.find("ar"))
        gap = pass_at_k_gap(confidence, ar, 1)
        return Measured(
            interval=gap,
            judgement=judge(gap, above=-NOT_WORSE),
            words=f"Pass@1, confidence minus ar: {points(gap)}, margin {100 * NOT_WORSE:g} points; "
            f"{setting(confidence)}",
            published=paper.pass_at_k_gap(confidence, ar, 1),
        )


class ArBetterAtLargestK(Claim):
    """Pass@k of `ar` minus Pass@k of `confidence` at the largest k that both runs have samples for, paired by problem.
    Holds when the interval lies above 0.
    """

    name = "ar-better-at-largest-k"
    sentence = "At the largest k, AR order solves more problems than arbitrary order."
    source = "arXiv:2601.15165, Figure 3 and Table 4"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        confidence, ar = alike(group.find("confidence"), group.find("ar"))
        k = largest_k(confidence, ar)
        gap = pass_at_k_gap(ar, confidence, k)
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@{k}, ar minus confidence: {coverage_points(gap)}; {setting(confidence)}",
            published=paper.pass_at_k_gap(ar, confidence, k),
        )


class NearlySubset(Claim):
    """Of the problems that `confidence` solves with any of n samples, the share that `ar` solves with any of n. Holds
    when the (Wilson) interval lies above 95 % (`NEARLY_ALL`). Where both solve nearly everything it holds for that
    reason alone, so the counts are given, too.
    """

    name = "nearly-a-subset"
    sentence = "What arbitrary order solves is nearly a subset of what AR order solves."
    source = "arXiv:2601.15165, Figure 4"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        confidence, ar = alike(group.find("confidence"), group.find("ar"))
        k = largest_k(confidence, ar)
        found = coverage(ar.counts(), confidence.counts())
        share = found.share_of_b
        if share is None:
            share = Interval.unknown()
        return Measured(
            interval=share,
            judgement=judge(share, above=NEARLY_ALL),
            words=f"ar solves {percent(share)} of what confidence solves, with {k} samples each; only ar "
            f"{found.a_only}, only confidence {found.b_only}, both {found.both}, neither {found.neither} of "
            f"{found.problems} problems; {setting(confidence)}",
            published=paper.coverage(ar, confidence),
        )
