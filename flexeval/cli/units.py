"""The one rule for numbers in JSON and CSV files: a column whose values have a unit ends in it.

`_percent` is a share times 100, `_points` a difference of two of these; `_nats` and `_steps` are as measured. Without
one are counts, k, NFE, ratios, p-values and `level` (of an interval, as in 0.95).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

_SCALE = {"percent": 100, "points": 100, "nats": 1, "steps": 1}


def with_units(frame: pd.DataFrame, **columns: Sequence[str]) -> pd.DataFrame:
    """The frame with units in the names of its columns, and fractions scaled to them.

    Args:
        frame: of fractions, nats and steps, as `flexeval.stats` gives them.
        columns: unit (percent, points, nats, steps) -> the columns that are in it, or are to be.
    """
    scaled = frame.copy()
    names = {name: f"{name}_{unit}" for unit, wanted in columns.items() for name in wanted}
    for unit, wanted in columns.items():
        scaled[list(wanted)] = _SCALE[unit] * frame[list(wanted)]
    return scaled.rename(columns=names)
