"""Which words were passed over while they were the frontier, how often, and for how long.

An occurrence is *bypassed* when, at one step or more, its first token was the leftmost eligible position and something
else was committed instead. The *bypass rate* of a word is the share of its occurrences that were bypassed. The *delay*
is the commit step minus the step at which the position became the frontier; a position that was committed before it
could become the frontier has none.

*Enrichment* asks whether connectors are bypassed more than other words at the same place. Words early in a block become
the frontier more often than words late in it, and problems differ, so connectors are compared with the other words at
the same position in the block and of the same problem: a *stratum*.

Axis suffixes: `S` strata, `P` problems, `T` kinds of strata.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.intervals import LEVEL, Difference, Interval, wilson
from flexeval.stats.parts import Rows, added, parts_of
from flexeval.stats.pooled import Pooled, pooled_difference, pooled_interval, problem_codes, problem_ids
from flexeval.stats.words import word_sums

PERMUTATIONS = 10_000


def bypass_table(words: Rows, *, by: str = "word", level: float = LEVEL) -> pd.DataFrame:
    """Bypass rate and delay of each word.

    Args:
        words: from `flexeval.stats.words.find_words`, or parts of it.
        by: the column to group by; `connector` compares connectors with the other words.
        level: of the intervals.

    Returns:
        One row a word, by falling number of occurrences: the word under the name `by`, occurrences, bypassed, rate,
        low, high (fractions, Wilson's score interval, which takes occurrences for independent; `enrichment` does not),
        delay (mean over the occurrences that were ever the frontier, in steps; NaN when none was).

    Raises:
        InputError: no such column, or a level out of range.
    """
    return _rates(_sums(words, by), level).reset_index()


def most_bypassed(words: Rows, *, top: int = 20, min_count: int = 20, level: float = LEVEL) -> pd.DataFrame:
    """The words with the highest bypass rate.

    Args:
        words: from `flexeval.stats.words.find_words`, or parts of it.
        top: how many at most.
        min_count: words with fewer occurrences are left out.
        level: of the intervals.

    Returns:
        rank (from 1), then the columns of `bypass_table`, then connector: whether most of its occurrences are. Words
        with equal rates come by falling number of occurrences; words that never were bypassed are left out.
    """
    return bypass_tables(words, top=top, min_count=min_count, level=level)[1]


def bypass_tables(
    words: Rows, *, top: int = 20, min_count: int = 20, level: float = LEVEL
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`bypass_table` and `most_bypassed` of words that are gone through once."""
    sums = _sums(words, "word")
    every = _rates(sums, level).reset_index()
    sums = sums[(sums["occurrences"] >= min_count) & (sums["bypassed"] > 0)]
    table = _rates(sums, level).sort_values("rate", ascending=False, kind="stable").head(top)
    connector = (sums["connectors"] / sums["occurrences"] > 0.5)[table.index].to_numpy()
    table = table.reset_index()
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return every, table.assign(connector=connector)


def _sums(words: Rows, by: str) -> pd.DataFrame:
    """Of each group of words: occurrences, bypassed, connectors, reached (were ever the frontier), delay (of these)."""

    def measure(part: pd.DataFrame) -> dict[str, pd.Series]:
        reached = part["frontier_step"] >= 0
        return {
            "bypassed": part["passes"] > 0,
            "connectors": part["connector"],
            "reached": reached,
            "delay": (part["commit_step"] - part["frontier_step"]).where(reached, 0),
        }

    return word_sums(words, measure, by=by)


def _rates(sums: pd.DataFrame, level: float) -> pd.DataFrame:
    table = sums[["occurrences", "bypassed"]].astype(np.int64)
    low, high = wilson(table["bypassed"], table["occurrences"], level=level)
    table = table.assign(rate=table["bypassed"] / table["occurrences"], low=low, high=high)
    table["delay"] = sums["delay"] / sums["reached"].where(sums["reached"] > 0)
    return table.sort_values("occurrences", ascending=False, kind="stable")


# ----- enrichment -----


@dataclass(frozen=True, kw_only=True)
class Enrichment:
    """Bypass rate of connectors against that of other words, matched by problem and position in the block."""

    connectors: int
    """Connector occurrences with another word in their stratum; all other numbers are about these."""
    unmatched: int
    """Connector occurrences without one; they are left out."""
    rate: float
    """Bypass rate of the connectors, a fraction."""
    matched_rate: float
    """The same if each connector were bypassed as often as the other words of its stratum."""
    difference: Difference
    """`rate` - `matched_rate`; interval by problem, which allows for any dependence within a problem."""
    ratio: Interval
    """`rate` / `matched_rate`; NaN where no other word was bypassed."""
    p_value: float
    """Two-sided, of the permutation test."""
    permutations: int


def enrichment(
    words: Rows,
    *,
    permutations: int = PERMUTATIONS,
    bootstrap: Bootstrap = DEFAULT,
) -> Enrichment:
    """Compare connectors with the other words.

    The permutation test shuffles, within each stratum and independently of the other strata, which of its words are
    the connectors. So under its hypothesis the words of one problem at one position in the block (of all its samples
    and blocks) are exchangeable: which of them are connectors says nothing about which were bypassed. Labels never move
    to another problem or position, so neither an easy problem nor the beginning of a block can look like an effect. The
    test assumes that the labels of two strata are independent given the bypasses. If samples of a problem differ in
    style as a whole, trust the interval instead, which resamples problems.

    Args:
        words: from `Run.word_parts`, or `flexeval.stats.words.find_words`, with in_block: the place of the first token
            in its block.
        permutations: of the labels.
        bootstrap: level and replicates of the intervals; the seed is that of the permutations, too.

    Raises:
        InputError: no connector has another word in its stratum, or a number out of range.
    """
    if permutations < 1:
        raise InputError(f"permutations must be at least 1, not {permutations}")
    problems, (problem_S, size_S, connectors_S, bypassed_S, both_S) = _strata(words)
    matched_S = (connectors_S > 0) & (connectors_S < size_S)
    unmatched = int(connectors_S[~matched_S].sum())
    if not matched_S.any():
        none = f"none of the {unmatched} connectors has another word of its problem at its position in the block"
        raise InputError(f"{none if unmatched else 'there is no connector among the words'}; sample more")
    problem_S, size_S, connectors_S, bypassed_S, both_S = (
        array_S[matched_S] for array_S in (problem_S, size_S, connectors_S, bypassed_S, both_S)
    )

    # Expected of each stratum's connectors: the rate of its other words.
    expected_S = connectors_S * (bypassed_S - both_S) / (size_S - connectors_S)
    observed_P, expected_P, connectors_P = (
        np.bincount(problem_S, values_S, minlength=problems).astype(np.float64)[:, None]
        for values_S in (both_S, expected_S, connectors_S)
    )

    observed, expected = (Pooled(sums_PK=sums_P, counts_PK=connectors_P) for sums_P in (observed_P, expected_P))
    rate, matched_rate = float(observed.estimates_K[0]), float(expected.estimates_K[0])
    ratio = Pooled(sums_PK=observed_P, counts_PK=expected_P)

    excess = float(both_S.sum() - expected_S.sum())
    shuffled = _shuffled_excess(size_S, connectors_S, bypassed_S, permutations, np.random.default_rng(bootstrap.seed))
    # Equal excesses may differ by rounding.
    as_extreme = int((np.abs(shuffled) >= abs(excess) - 1e-9).sum())
    return Enrichment(
        connectors=int(connectors_S.sum()),
        unmatched=unmatched,
        rate=rate,
        matched_rate=matched_rate,
        difference=pooled_difference(observed, expected, largest=1.0, bootstrap=bootstrap),
        ratio=pooled_interval(ratio, bootstrap=bootstrap),
        p_value=(1 + as_extreme) / (1 + permutations),
        permutations=permutations,
    )


def _strata(words: Rows) -> tuple[int, tuple[NDArray[np.int64], ...]]:
    """The number of problems; and (problem, words, connectors, bypassed words, bypassed connectors) of each stratum
    that has a word [S].
    """

    def count(part: pd.DataFrame) -> NDArray[np.float64]:
        problems = problem_ids(part["problem_id"])
        in_block_N = part["in_block"].to_numpy(np.int64)
        places = int(in_block_N.max(initial=0)) + 1
        place_N = problem_codes(part["problem_id"], problems) * places + in_block_N
        connector_N, bypassed_N = part["connector"].to_numpy(), part["passes"].to_numpy() > 0
        kinds = (slice(None), connector_N, bypassed_N, connector_N & bypassed_N)
        counts = [np.bincount(place_N[of_N], minlength=len(problems) * places) for of_N in kinds]
        return np.stack(counts).reshape(len(kinds), len(problems), places).astype(np.float64)

    counts_4PK = functools.reduce(added, map(count, parts_of(words)))
    counts_4S = counts_4PK.reshape(4, -1).astype(np.int64)
    held_S = np.flatnonzero(counts_4S[0])
    return counts_4PK.shape[1], (held_S // counts_4PK.shape[2], *counts_4S[:, held_S])


def _shuffled_excess(
    size_S: NDArray[np.int64],
    connectors_S: NDArray[np.int64],
    bypassed_S: NDArray[np.int64],
    permutations: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Bypassed connectors beyond the expected ones, under shuffled labels [permutations].

    Shuffling a stratum's labels gives a hypergeometric number of bypassed connectors. Where many strata have equal
    counts (T kinds), they are drawn together: how many of them get each number is multinomial.
    """
    counts_T3, strata_T = np.unique(np.stack([size_S, connectors_S, bypassed_S], axis=1), axis=0, return_counts=True)
    excess = np.zeros(permutations)
    for (size, connectors, bypassed), strata in zip(counts_T3.tolist(), strata_T.tolist(), strict=True):
        both = np.arange(max(0, connectors + bypassed - size), min(connectors, bypassed) + 1)
        if len(both) == 1:
            continue  # whatever the labels, the excess is 0
        chances = _hypergeometric(both, size, connectors, bypassed)
        excesses = both - connectors * (bypassed - both) / (size - connectors)
        if strata > _TOGETHER:
            excess += rng.multinomial(strata, chances, size=permutations) @ excesses
        else:
            for _ in range(strata):
                excess += excesses[_drawn(chances, permutations, rng)]
    return excess


def _drawn(chances: NDArray[np.float64], size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Independent draws of a place by its chance, through a table: each place fills as many of its cells as it fills
    whole. A cell that is left over stands for what the places have beyond these.
    """
    filled = chances * _CELLS
    whole = filled.astype(np.int64)
    # The last one stands for all cells that are left over, until these are drawn.
    places = np.append(np.repeat(np.arange(len(chances)), whole), 0)
    cell = rng.integers(0, _CELLS, size=size, dtype=np.uint16)
    left_over = np.flatnonzero(cell >= len(places) - 1)
    drawn = places[np.minimum(cell, len(places) - 1)]
    beyond = np.cumsum(filled - whole)
    drawn[left_over] = np.searchsorted(beyond[:-1], rng.random(len(left_over)) * beyond[-1], side="right")
    return drawn


_CELLS = 2**12
_TOGETHER = 64
"""Strata of one kind from which on their common draw is faster than one for each."""


def _hypergeometric(both: NDArray[np.int64], size: int, connectors: int, bypassed: int) -> NDArray[np.float64]:
    """The chance of each number of bypassed connectors, over all that are possible."""
    cells = np.stack([both, connectors - both, bypassed - both, size - connectors - bypassed + both])
    weight = -gammaln(cells + 1).sum(axis=0)
    chances = np.exp(weight - weight.max())
    normalised: NDArray[np.float64] = chances / chances.sum()
    return normalised
