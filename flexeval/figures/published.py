"""Published numbers as rows of a figure's frame and in its small print; `flexeval.published` says which are shown."""

from __future__ import annotations

import pandas as pd

from flexeval import published
from flexeval.figures.settings import stated
from flexeval.runs.store import Run

WHY_NONE = "why_no_published"
"""The column of measured rows that says in what their run differs from the setting of published numbers; missing where
some stand beside it, and where the model has none."""


def published_pass_at_k(run: Run) -> pd.DataFrame:
    """The published Pass@k of a run's setting, with the run's settings before it.

    Returns:
        The stated settings, source, k, estimate (a fraction), low and high (NaN: no paper gives them). No rows where
        nothing is published in this setting.
    """
    rows = published.pass_at_k(run).rows
    estimates = rows[["source", "k"]].assign(estimate=rows["pass_at_k_percent"] / 100, low=float("nan"))
    return stated(estimates.assign(high=float("nan")), run)


def published_coverage(ar: Run, arbitrary: Run) -> pd.DataFrame:
    """The published shares of problems that only AR order, and only the `confidence` order, solved.

    Returns:
        source, k (samples of each problem), ar_only, confidence_only (fractions). No rows where nothing is published in
        the setting of these runs, as they are compared.
    """
    rows = published.coverage(ar, arbitrary).rows
    shares = {part: rows[f"{part}_percent"] / 100 for part in ("ar_only", "confidence_only")}
    return rows[["source", "k"]].assign(**shares).reset_index(drop=True)
