"""Two orders side by side: each mean, their paired difference, a band over all columns at once, and the verdicts.

The columns of a table are a curve that is judged as a whole, so verdicts are of the band (`flexeval.stats.verdict`).

Knows tables of numbers, one row a problem, one column a quantity. It does not know what the numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import pandas as pd

from flexeval.stats.bands import band_of_differences
from flexeval.stats.bootstrap import paired_difference
from flexeval.stats.resampling import LEVEL, REPLICATES, differences, normal_score
from flexeval.stats.verdict import side


def comparison(
    table_a: pd.DataFrame,
    table_b: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    largest: float = math.inf,
    family: int = 1,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two tables column by column, paired by problem.

    Args:
        table_a: one row a problem, indexed by problem id: of `pass_at_k_table`, `pass_at_nfe_table`, `coverage_auc`.
        table_b: the same problems and columns.
        tasks: the task of each row of `table_a`; None when all rows are of one task.
        largest: what no difference can exceed, to either side: 1 for fractions.
        family: how many such comparisons are judged together. The band of each is at 1 - (1 - level) / family, so that
            all bands together hold what they are to hold with probability `level`.
        level, replicates, seed: as in `interval`.

    Returns:
        One row a column, in the unit of the tables: the column's label (under the name of the column index, else
        `measure`), a, b, difference (a minus b), low, high (its interval), verdict (of the band), band_low, band_high
        (simultaneous over all rows), p_value (of the sign-flip test, by itself; the exact McNemar test at k = n).

    Raises:
        InputError: what `paired_difference` refuses.
    """
    paired = paired_difference(
        table_a, table_b, tasks=tasks, largest=largest, level=level, replicates=replicates, seed=seed
    )
    at_once = 1 - (1 - level) / family
    if len(paired) > 1:
        joint = band_of_differences(
            differences(table_a, table_b), tasks=tasks, largest=largest, level=at_once, replicates=replicates, seed=seed
        )
        bands = list(zip(joint["low"].tolist(), joint["high"].tolist(), strict=True))
    else:
        bands = [at.at(normal_score(at_once)) for at in paired.values()]
    exact = [at.exact_p for at in paired.values()]
    return pd.DataFrame(
        {
            table_a.columns.name or "measure": list(table_a.columns),
            "a": table_a.mean().to_numpy(),
            "b": table_b.mean().to_numpy(),
            "difference": [at.estimate for at in paired.values()],
            "low": [at.low for at in paired.values()],
            "high": [at.high for at in paired.values()],
            "verdict": [side(low, high, p, level=level) for (low, high), p in zip(bands, exact, strict=True)],
            "band_low": [low for low, _ in bands],
            "band_high": [high for _, high in bands],
            "p_value": exact,
        }
    )
