"""Pass@k at the temperature where an order's mean commit entropy has a given value.

Orders differ in how much chance they leave in a text at equal temperature. Comparing them where the entropy is equal
asks what is left of a difference when that is taken away, as Yue et al. 2025 (arXiv:2504.13837, figure 17) do between
a model and its trained successor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from flexeval.errors import InputError
from flexeval.stats.bands import band
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.resampling import LEVEL, REPLICATES, differences


class OutOfReach(InputError):
    """The target lies beyond the sampled temperatures."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """Where the target lies between two sampled temperatures."""

    lower: float
    upper: float
    """The sampled temperatures; equal where one of them meets the target."""
    weight: float
    """Of the upper one, a fraction."""

    @property
    def temperature(self) -> float:
        """On the line between the two."""
        return self.lower + self.weight * (self.upper - self.lower)


def match_entropy(entropies: Mapping[float, float], target: float) -> Match:
    """Where between the sampled temperatures the mean entropy reaches the target, by linear interpolation.

    Args:
        entropies: temperature -> mean entropy at commit, nats.
        target: nats.

    Returns:
        The lowest such place, should there be several.

    Raises:
        OutOfReach: no two neighbouring temperatures have the target between them: nothing is extrapolated.
    """
    by_temperature = sorted(entropies.items())
    # The last temperature has no neighbour above, but may be the target itself.
    for (lower, below), (upper, above) in pairwise([*by_temperature, *by_temperature[-1:]]):
        if below == target:
            return Match(lower=lower, upper=lower, weight=0.0)
        if min(below, above) < target < max(below, above):
            return Match(lower=lower, upper=upper, weight=(target - below) / (above - below))
    reached = ", ".join(f"{entropy:.3f} at T = {temperature:g}" for temperature, entropy in by_temperature)
    raise OutOfReach(
        f"a mean entropy of {target:.3f} nats lies outside what was sampled ({reached}); sample temperatures that "
        "reach it"
    )


def matched_pass_at_k(
    lower: pd.DataFrame,
    upper: pd.DataFrame,
    match: Match,
    ks: Sequence[int],
    *,
    level: float = LEVEL,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean Pass@k at the matched temperature, with a simultaneous band: each problem's value is interpolated.

    The band takes the matched temperature as known.

    Args:
        lower: columns problem_id, n, c, of the run at the match's lower temperature.
        upper: the same problems at the upper one.
        match: from `match_entropy`.
        ks: where.
        level, replicates, seed: as in `pass_at_k_band`.

    Returns:
        One row a k: k, estimate, low, high, fractions.

    Raises:
        InputError: other problems, or a problem with fewer than max(ks) samples.
    """
    below, above = pass_at_k_table(lower, ks), pass_at_k_table(upper, ks)
    mixed = below + match.weight * differences(above, below).loc[below.index]
    return band(mixed, tasks=None, level=level, replicates=replicates, seed=seed)
