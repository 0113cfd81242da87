"""Claims about single tokens: arbitrary order passes over the words at which a solution forks, meets them when their
choice is already made, and commits the likeliest token.
"""

from __future__ import annotations

import math

import pandas as pd

from flexeval.claims.claim import Claim, Measured
from flexeval.claims.selection import Group
from flexeval.claims.verdict import Judgement, all_of, judge
from flexeval.claims.wording import nats, percent, points, setting
from flexeval.errors import InputError
from flexeval.runs.store import alike
from flexeval.stats.bypass import enrichment
from flexeval.stats.entropy import pooled_entropy
from flexeval.stats.pooled import pooled_difference
from flexeval.stats.ranks import non_top_rate
from flexeval.stats.words import connectors

GLOBAL_MARGIN = 0.1
"""The margin of "the global mean is not lower": a share of the global mean under AR order."""
ALMOST_ONLY = 0.05
"""Below this share of tokens an order commits almost only top tokens."""
HOT = 1.0
"""A claim about any temperature needs a run that is at least this hot."""


class ConnectorsBypassed(Claim):
    """Bypass rate of connectors under `confidence` minus that of other words of the same problem at the same position
    in the block. Holds when the interval lies above 0 and the permutation test of the labels rejects, too. Connectors
    without such a word are left out: where texts are laid out alike, these are most of them, and the more samples there
    are, the fewer.
    """

    name = "connectors-bypassed"
    sentence = "Arbitrary order bypasses connectors more than other words."
    source = "arXiv:2601.15165, Figure 6"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        run = group.find("confidence")
        found = enrichment(run.word_parts(["in_block", "passes"]))
        permuted = Judgement(p_for=found.p_value, p_against=1.0)
        return Measured(
            interval=found.difference,
            judgement=all_of(judge(found.difference, above=0), permuted),
            words=f"bypass rate of connectors {100 * found.rate:.1f} %, of matched other words "
            f"{100 * found.matched_rate:.1f} %: {points(found.difference)}, permutation test p = {found.p_value:.2g}, "
            f"{found.connectors} connectors of {found.connectors + found.unmatched}, the others have no such word; "
            f"{setting(run)}",
        )


class ConnectorEntropyLower(Claim):
    """Mean entropy at commit under `confidence` minus that under `ar`, of connectors and of all tokens. Holds when the
    interval of the connectors lies below 0 and that of all tokens lies above minus a tenth of AR order's mean
    (`GLOBAL_MARGIN`).
    """

    name = "connector-entropy-lower"
    sentence = (
        "Connectors have a lower entropy when arbitrary order commits them than when AR order does, while the mean "
        "over all tokens is not lower."
    )
    source = "arXiv:2601.15165, Figure 7"
    unit = "nats"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        confidence, ar = alike(group.find("confidence"), group.find("ar"))
        problems = pd.Index(confidence.problems["problem_id"])
        of_confidence, of_ar = (
            pooled_entropy(connectors(run.word_parts(["entropy"])), problems) for run in (confidence, ar)
        )
        if not (of_confidence.counts_PK.any() and of_ar.counts_PK.any()):
            raise InputError("needs texts with connectors, and these have none")
        of_connectors = pooled_difference(of_confidence, of_ar)
        tokens = [
            pooled_entropy(run.token_parts(["problem_id", "in_text", "entropy"]), problems) for run in (confidence, ar)
        ]
        of_all = pooled_difference(*tokens)
        mean = float(tokens[1].estimates_K[0])
        return Measured(
            interval=of_connectors,
            judgement=all_of(judge(of_connectors, below=0), judge(of_all, above=-GLOBAL_MARGIN * mean)),
            words=f"entropy at commit, confidence minus ar: connectors {nats(of_connectors)}, all tokens "
            f"{nats(of_all)}, margin {GLOBAL_MARGIN * mean:.3f}; {setting(confidence)}",
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
    share = True
    at_each_temperature = False
    source = "arXiv:2609.34509"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        runs = group.by_temperature("confidence")
        if max(runs, default=0.0) < HOT:
            raise InputError(f"needs a run of confidence at T = {HOT:g} or more, block {group.block}")
        columns = ["problem_id", "in_text", "rank"]
        rates = {temperature: non_top_rate(run.token_parts(columns)) for temperature, run in runs.items()}
        if any(math.isnan(rate.estimate) for rate in rates.values()):
            raise InputError("needs texts with tokens, and those of a temperature have none")
        highest = max(rates, key=lambda temperature: rates[temperature].estimate)
        others = {
            temperature: non_top_rate(run.token_parts(columns))
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
