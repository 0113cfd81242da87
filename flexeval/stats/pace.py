"""How fast an order goes: positions committed per evaluation of the mask predictor."""

from __future__ import annotations

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.pooled import Pooled, pooled_interval
from flexeval.stats.resampling import LEVEL, REPLICATES
from flexeval.stats.verdict import Interval


def tokens_per_step(
    tokens: pd.DataFrame, samples: pd.DataFrame, *, replicates: int = REPLICATES, level: float = LEVEL, seed: int = 0
) -> Interval:
    """Committed positions over evaluations, both summed over all samples, with its interval over problems.

    What is committed after the end of a text counts like the text, since it was paid for like it. Under guidance an
    order of one position a step has 0.5, because a step costs two evaluations.

    Args:
        tokens: column problem_id; one row a committed position.
        samples: columns problem_id, nfe; one row a sample, those without a position included.
        replicates, level, seed: of the bootstrap.

    Raises:
        InputError: no sample, or no evaluation.
    """
    nfe = samples.groupby("problem_id", sort=False, observed=True)["nfe"].sum()
    if not nfe.sum():
        raise InputError("there is no evaluation to count positions by; sample at least one")
    committed = tokens["problem_id"].value_counts().reindex(nfe.index, fill_value=0)
    committed_P, nfe_P = (np.asarray(column, dtype=np.float64) for column in (committed, nfe))
    pooled = Pooled(sums_PK=committed_P[:, None], counts_PK=nfe_P[:, None])
    return pooled_interval(pooled, replicates=replicates, level=level, seed=seed)
