"""Two orders side by side: each mean, their paired difference, its verdict, and a band over all columns at once.

Knows tables of numbers, one row a problem, one column a quantity. It does not know what the numbers are.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import pandas as pd

from flexeval.stats.bands import band_of_differences
from flexeval.stats.bootstrap import paired_difference
from flexeval.stats.resampling import LEVEL, REPLICATES, differences


def comparison(
    table_a: pd.DataFrame,
    table_b: pd.DataFrame,
    *,
    tasks: Sequence[Hashable] | None = None,
    largest: float = math.inf,
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
        level, replicates, seed: as in `interval`.

    Returns:
        One row a column, in the unit of the tables: the column's label (under the name of the column index, else
        `measure`), a, b, difference (a minus b), low, high (its interval), verdict (of that interval), band_low,
        band_high (simultaneous over all rows).

    Raises:
        InputError: what `paired_difference` refuses.
    """
    paired = paired_difference(
        table_a, table_b, tasks=tasks, largest=largest, level=level, replicates=replicates, seed=seed
    )
    joint = band_of_differences(
        differences(table_a, table_b), tasks=tasks, largest=largest, level=level, replicates=replicates, seed=seed
    )
    return pd.DataFrame(
        {
            table_a.columns.name or "measure": list(table_a.columns),
            "a": table_a.mean().to_numpy(),
            "b": table_b.mean().to_numpy(),
            "difference": [at.estimate for at in paired.values()],
            "low": [at.low for at in paired.values()],
            "high": [at.high for at in paired.values()],
            "verdict": [at.verdict for at in paired.values()],
            "band_low": joint["low"],
            "band_high": joint["high"],
        }
    )
