"""Solution coverage: which problems one order solves at n samples, and the other does not.

Knows counts. A problem is solved when at least one of its n samples is correct.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.bypass import wilson_bounds
from flexeval.stats.resampling import LEVEL, differences, normal_score
from flexeval.stats.verdict import Interval, sign_flip_p


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Problems by who solves them, of two orders a and b on the same problems."""

    a_only: int
    """Problems that a solves and b does not."""
    b_only: int
    both: int
    neither: int
    n: int
    """Samples of each problem, the same in both."""
    p_value: float
    """Exact McNemar test, two-sided: were a_only and b_only a fair split of the problems that one order alone solves?
    1 when there are none."""
    share_of_b: Interval | None
    """Of the problems that b solves, the share that a solves too, with a Wilson interval; None when b solves none."""

    @property
    def problems(self) -> int:
        """All problems."""
        return self.a_only + self.b_only + self.both + self.neither


def coverage(counts_a: pd.DataFrame, counts_b: pd.DataFrame, *, level: float = LEVEL) -> Coverage:
    """Who solves what at n.

    Args:
        counts_a: columns problem_id, n, c; every problem with the same n.
        counts_b: the same problems, with the same n: more samples solve more problems, whatever the order.
        level: nominal coverage of the interval, a fraction in (0, 1).

    Raises:
        InputError: other problems, no problem, or unequal n.
    """
    n = _common_n(counts_a, counts_b)
    a, b = (counts.set_index("problem_id")[["c"]] for counts in (counts_a, counts_b))
    difference = differences(a.clip(upper=1), b.clip(upper=1))["c"]
    a_only, b_only = int((difference > 0).sum()), int((difference < 0).sum())
    both = int((b["c"] > 0).sum()) - b_only
    single = a_only + b_only
    return Coverage(
        a_only=a_only,
        b_only=b_only,
        both=both,
        neither=len(a) - single - both,
        n=n,
        p_value=sign_flip_p(difference.to_numpy(dtype=np.float64)),
        share_of_b=_share(both, both + b_only, level),
    )


def coverage_frame(coverage: Coverage) -> pd.DataFrame:
    """One row a part (a_only, b_only, both, neither): part, problems, share (a fraction of all problems)."""
    parts = ["a_only", "b_only", "both", "neither"]
    counts = [getattr(coverage, part) for part in parts]
    return pd.DataFrame({"part": parts, "problems": counts, "share": np.array(counts) / coverage.problems})


def _common_n(counts_a: pd.DataFrame, counts_b: pd.DataFrame) -> int:
    if counts_a.empty or counts_b.empty:
        raise InputError("there is no problem to compare coverage on; sample at least one")
    fewest, most = (reduced(reduced(counts["n"]) for counts in (counts_a, counts_b)) for reduced in (min, max))
    if fewest != most:
        raise InputError(
            f"coverage compares orders at one n, but problems have {fewest} to {most} samples; "
            f"compare the first {fewest} samples of each, or sample more"
        )
    if fewest < 1:
        raise InputError("coverage needs at least 1 sample of every problem; sample more")
    return int(fewest)


def _share(part: int, whole: int, level: float) -> Interval | None:
    if not whole:
        return None

    def at(score: float) -> tuple[float, float]:
        low, high = wilson_bounds(part, whole, score)
        return float(low), float(high)

    low, high = at(normal_score(level))
    return Interval(estimate=part / whole, low=low, high=high, level=level, problems=whole, at=at)
