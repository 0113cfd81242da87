"""The collapse curve with a simultaneous band over problems."""

from __future__ import annotations

import pandas as pd

from flexeval.stats.bands import band
from flexeval.stats.diversity import collapse_table
from flexeval.stats.resampling import LEVEL, REPLICATES


def collapse_band(
    tokens: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """The mean over problems of `collapse_table`, with a band that holds the whole true curve.

    Args:
        tokens, samples: as `collapse_table`.
        level: the probability that the band holds the mean at all steps at once.
        replicates, seed: of the bootstrap over problems.

    Returns:
        One row a step: step (0-based), estimate, low, high, fractions. A problem whose samples are all done keeps the
        share of its last step.

    Raises:
        InputError: what `collapse_table` refuses.
    """
    table = collapse_table(tokens, samples)
    return band(table, tasks=None, level=level, replicates=replicates, seed=seed)
