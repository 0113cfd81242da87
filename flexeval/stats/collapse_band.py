"""The collapse curve with a simultaneous band over problems."""

from __future__ import annotations

import pandas as pd

from flexeval.stats.bands import band
from flexeval.stats.diversity import collapse_curve
from flexeval.stats.resampling import LEVEL, REPLICATES


def collapse_band(
    tokens: pd.DataFrame, *, level: float = LEVEL, replicates: int = REPLICATES, seed: int = 0
) -> pd.DataFrame:
    """The mean over problems of `collapse_curve`, with a band that holds the whole true curve.

    Args:
        tokens: as `collapse_curve`.
        level: the probability that the band holds the mean at all steps at once.
        replicates, seed: of the bootstrap over problems.

    Returns:
        One row a step: step (0-based), estimate, low, high, fractions. A problem whose samples are all done keeps the
        share of its last step.

    Raises:
        InputError: no rows, or problems with unequal numbers of samples.
    """
    whole = collapse_curve(tokens)
    by_problem = tokens.groupby("problem_id", observed=True, sort=False)
    curves = {problem: collapse_curve(rows).set_index("step")["distinct_share"] for problem, rows in by_problem}
    table = pd.DataFrame(curves).reindex(whole["step"]).ffill().T.rename_axis(index="problem_id", columns="step")
    return band(table, tasks=None, level=level, replicates=replicates, seed=seed)
