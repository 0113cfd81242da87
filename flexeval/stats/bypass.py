"""Which words were passed over while they were the frontier, how often, and for how long.

An occurrence is *bypassed* when, at one step or more, its first token was the leftmost eligible position and something
else was committed instead. The *bypass rate* of a word is the share of its occurrences that were bypassed. The *delay*
is the commit step minus the step at which the position became the frontier; a position that was committed before it
could become the frontier has none.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from flexeval.errors import InputError
from flexeval.stats.entropy import frequent
from flexeval.stats.resampling import LEVEL


def bypass_table(words: pd.DataFrame, *, by: str = "word", level: float = LEVEL) -> pd.DataFrame:
    """Bypass rate and delay of each word.

    Args:
        words: from `flexeval.stats.words`.
        by: the column to group by; `connector` compares connectors with the other words.
        level: of the intervals.

    Returns:
        One row a word, by falling number of occurrences: the word under the name `by`, occurrences, bypassed, rate,
        low, high (fractions, Wilson's score interval, which takes occurrences for independent; `enrichment` does not),
        delay (mean over the occurrences that were ever the frontier, in steps; NaN when none was).

    Raises:
        InputError: no such column, or a level out of range.
    """
    if by not in words:
        raise InputError(f"the words have no column {by!r} to group by; they have {', '.join(words.columns)}")
    reached = words["frontier_step"] >= 0
    facts = pd.DataFrame(
        {
            by: words[by],
            "bypassed": words["passes"] > 0,
            "delay": (words["commit_step"] - words["frontier_step"]).where(reached),
        }
    )
    table = facts.groupby(by, observed=True).agg(
        occurrences=("bypassed", "size"), bypassed=("bypassed", "sum"), delay=("delay", "mean")
    )
    low, high = wilson(table["bypassed"], table["occurrences"], level=level)
    table.insert(2, "rate", table["bypassed"] / table["occurrences"])
    table.insert(3, "low", low)
    table.insert(4, "high", high)
    return table.sort_values("occurrences", ascending=False, kind="stable").reset_index()


def most_bypassed(words: pd.DataFrame, *, top: int = 20, min_count: int = 20, level: float = LEVEL) -> pd.DataFrame:
    """The words with the highest bypass rate.

    Args:
        words: from `flexeval.stats.words`.
        top: how many at most.
        min_count: occurrences that a word needs to be looked at.
        level: of the intervals.

    Returns:
        rank (from 1), then the columns of `bypass_table`, then connector: whether most of its occurrences are. Words
        with equal rates come by falling number of occurrences; words that never were bypassed are left out.
    """
    kept = frequent(words, min_count)
    table = bypass_table(kept, level=level).query("bypassed > 0")
    table = table.sort_values("rate", ascending=False, kind="stable").head(top).reset_index(drop=True)
    mostly_connector = kept.groupby("word", observed=True)["connector"].mean() > 0.5
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    table["connector"] = table["word"].map(mostly_connector).astype(bool)
    return table


def wilson(
    successes: ArrayLike, trials: ArrayLike, *, level: float = LEVEL
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(low, high) of Wilson's score interval for a proportion, as fractions; (0, 1) where there is no trial.

    Wilson 1927, without continuity correction. The arrays broadcast.
    """
    if not 0 < level < 1:
        raise InputError(f"level must lie in (0, 1), as in 0.95, not {level}")
    return wilson_bounds(successes, trials, float(ndtri((1 + level) / 2)))


def wilson_bounds(
    successes: ArrayLike, trials: ArrayLike, score: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `wilson`, at so many standard deviations of a normal: the proportions that a score test does not reject."""
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    z = score
    rate = np.divide(k, n, out=np.full(n.shape, 0.5), where=n > 0)
    centre = (n * rate + z * z / 2) / (n + z * z)
    half = z * np.sqrt(n * rate * (1 - rate) + z * z / 4) / (n + z * z)
    # At the ends the formula is exactly 0 and 1, but for rounding.
    low, high = np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)
    return low, high
