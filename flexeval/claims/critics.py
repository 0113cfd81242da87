"""What later work answers: it is the filter of low-confidence remasking, not the order, that loses the coverage."""

from __future__ import annotations

from flexeval.claims.arbitrary_order import NOT_WORSE, pass_at_k_gap
from flexeval.claims.claim import Claim, Measured
from flexeval.claims.selection import Group, largest_k
from flexeval.claims.verdict import all_of, judge
from flexeval.claims.wording import coverage_points, percent, points, setting
from flexeval.errors import InputError
from flexeval.runs.store import alike
from flexeval.stats.ranks import non_top_rate

ALMOST_ONLY = 0.05
"""Below this share of tokens an order commits almost only top tokens."""
HOT = 1.0
"""A claim about any temperature needs a run that is at least this hot."""


class TopProbRecovers(Claim):
    """Pass@k of `top_prob` minus Pass@k of `ar`, and minus Pass@k of `confidence`, at the largest k, paired by problem.
    Holds when the interval of the first lies above minus three points (`NOT_WORSE`) and that of the second above 0: no
    worse than AR order, and better than the order that is to have lost something. Where `confidence` loses nothing
    there is nothing to recover, and the claim is not shown.
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


class CommitsTopTokens(Claim):
    """The share of text tokens that were not the likeliest when `confidence` committed them, at every temperature that
    was run. Holds when every interval lies below 5 % (`ALMOST_ONLY`), with at least one temperature of 1 or more; does
    not hold as soon as one lies above. The numbers are those of the temperature with the highest share.

    The source, LLaDA on GSM8K at T = 1.2: 0.7 to 1.1 %, top_prob 36 to 38 %. The table leaves it out, since the prompt
    is not known here.
    """

    name = "confidence-commits-top-tokens"
    sentence = "confidence commits almost only top tokens, at any temperature."
    source = "arXiv:2609.34509"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        runs = group.by_temperature("confidence")
        if max(runs, default=0.0) < HOT:
            raise InputError(f"needs a run of confidence at T = {HOT:g} or more, block {group.block}")
        columns = ["problem_id", "in_text", "rank"]
        rates = {temperature: non_top_rate(run.tokens(columns)) for temperature, run in runs.items()}
        highest = max(rates, key=lambda temperature: rates[temperature].estimate)
        others = {
            temperature: non_top_rate(run.tokens(columns))
            for temperature, run in group.by_temperature("top_prob").items()
            if temperature == highest
        }
        beside = "".join(f", top_prob {percent(rate)}" for rate in others.values())
        listed = ", ".join(f"{100 * rate.estimate:.1f} % at T = {temperature:g}" for temperature, rate in rates.items())
        return Measured(
            interval=rates[highest],
            judgement=all_of(*(judge(rate, below=ALMOST_ONLY) for rate in rates.values())),
            words=f"tokens that were not the likeliest: {listed}; highest {percent(rates[highest])} at "
            f"T = {highest:g}{beside}; {setting(runs[highest])}",
        )


class EgiExceedsAr(Claim):
    """Pass@k of `egi` minus Pass@k of `ar` at the largest k, paired by problem.

    Holds when the interval lies above 0.
    """

    name = "egi-exceeds-ar"
    sentence = "egi, which opens at the most uncertain position, exceeds AR order."
    source = "arXiv:2609.34509"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        egi, ar = alike(group.find("egi"), group.find("ar"))
        k = largest_k(egi, ar)
        gap = pass_at_k_gap(egi, ar, k)
        return Measured(
            interval=gap,
            judgement=judge(gap, above=0),
            words=f"Pass@{k}, egi minus ar: {coverage_points(gap)}; Pass@1 {points(pass_at_k_gap(egi, ar, 1))}; "
            f"{setting(egi)}",
        )
