"""How Pass@k depends on the block length of `confidence`, from AR order (block 1) to the whole canvas."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flexeval.claims.claim import Claim, Measured
from flexeval.claims.selection import Group, largest_k
from flexeval.claims.verdict import all_of, judge
from flexeval.claims.wording import points, setting
from flexeval.errors import InputError
from flexeval.runs.store import Run, alike
from flexeval.stats.bootstrap import paired_difference
from flexeval.stats.onset import auc_ks
from flexeval.stats.pass_at_k import coverage_auc, pass_at_k_table

EARLY = 8
"""The block length by which the loss is said to have appeared."""
LEAST_LENGTHS = 3


def slope_weights(block_lengths: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The weights by which a least-squares line over log2 of the block length sums its values to a slope."""
    centred = np.log2(block_lengths) - np.log2(block_lengths).mean()
    weights: np.ndarray[tuple[int], np.dtype[np.float64]] = centred / (centred**2).sum()
    return weights


class FallsWithBlockLength(Claim):
    """The slope of Pass@k over log2 of the block length, by least squares for each problem, at the largest k that all
    block lengths have samples for. Holds when its interval lies below 0.
    """

    name = "falls-with-block-length"
    sentence = "Pass@k of arbitrary order falls as blocks get longer."
    source = "arXiv:2601.15165, Figure 5"
    unit = "fraction per doubling"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        by_block = _by_block(group)
        if len(by_block) < LEAST_LENGTHS:
            raise InputError(
                f"needs confidence at {LEAST_LENGTHS} block lengths, not {len(by_block)}, at T = {group.temperature:g}"
            )
        k = largest_k(*by_block.values())
        table_PB = pd.concat([pass_at_k_table(run.counts(), [k])[k] for run in by_block.values()], axis=1)
        weights_B = slope_weights(list(by_block))
        # A slope is a difference: what longer blocks add minus what shorter ones do.
        longer, shorter = (
            pd.DataFrame({"slope": table_PB.to_numpy() @ part_B.clip(min=0)}, index=table_PB.index)
            for part_B in (weights_B, -weights_B)
        )
        interval = paired_difference(longer, shorter, largest=float(weights_B.clip(min=0).sum()))["slope"]
        curve = ", ".join(f"{100 * mean:.0f}" for mean in table_PB.mean())
        return Measured(
            interval=interval,
            judgement=judge(interval, below=0),
            words=f"Pass@{k} per doubling of the block: {points(interval)}; {curve} % at block "
            f"{', '.join(map(str, by_block))}; {setting(next(iter(by_block.values())), block=False)}",
        )


class LossBetweenOneAndEight(Claim):
    """CoverageAUC (mean of Pass@k over k = 4, 8, 16, 32, 64 as far as n goes) at block 1 minus that at block 8, the
    early loss, and at block 8 minus that at the longest block, the late loss. Holds when the interval of the early loss
    lies above 0 and that of early minus late loss, too: there is a loss by block 8, and it is most of the loss.

    The replication, GSM8K and MATH-500 pooled: 1 to 8 loses 3.8 points [2.0, 5.7], 8 to 16 and 16 to 32 unresolved. The
    table leaves it out, since no run here is of both benchmarks.
    """

    name = "loss-between-block-1-and-8"
    sentence = "The loss appears between block 1 and block 8: a threshold rather than a dose."
    source = "pre-registered replication of arXiv:2601.15165 on LLaDA-8B-Instruct"

    def measure(self, group: Group) -> Measured:
        """See the class."""
        by_block = _by_block(group)
        longest = max(by_block, default=0)
        if not {1, EARLY} <= by_block.keys() or longest < 2 * EARLY:
            raise InputError(f"needs confidence at T = {group.temperature:g} and block 1, {EARLY} and a longer one")
        ks = auc_ks(largest_k(*by_block.values()))
        blocks = (1, EARLY, longest)
        at_1, at_8, at_end = (coverage_auc(by_block[block].counts(), ks) for block in blocks)
        early = paired_difference(at_1, at_8, largest=1.0)["coverage_auc"]
        late = paired_difference(at_8, at_end, largest=1.0)["coverage_auc"]
        excess = paired_difference(at_1 - at_8, at_8 - at_end, largest=2.0)["coverage_auc"]
        return Measured(
            interval=early,
            judgement=all_of(judge(early, above=0), judge(excess, above=0)),
            words=f"CoverageAUC over k = {', '.join(map(str, ks))}: block 1 minus block {EARLY} {points(early)}, block "
            f"{EARLY} minus block {longest} {points(late)}, the first minus the second {points(excess)}; "
            f"{setting(by_block[EARLY], block=False)}",
        )


def _by_block(group: Group) -> dict[int, Run]:
    """Block length -> run, all on the same problems with as many samples."""
    by_block = group.by_block("confidence")
    if not by_block:
        raise InputError(f"needs runs of confidence at T = {group.temperature:g} and several block lengths")
    return dict(zip(by_block, alike(*by_block.values()), strict=True))
