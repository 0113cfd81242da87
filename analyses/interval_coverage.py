"""Do the intervals and bands hold the truth as often as they say? A simulation with known truth.

    python analyses/interval_coverage.py [--simulations 1000] [--curves 200] [--out results/stats]

Each data set has problems whose chances come from a Beta distribution, and n independent samples of each; the chances
under a second order share their difficulty. The truth is the mean over all problems that could have been drawn. It
counts how often 95 % intervals hold it (over the powers of two k up to n: the mean, and the lowest and highest k), how
often simultaneous bands hold the whole curve, and, for comparison, what plain percentiles of the bootstrap would do.
Differences that most problems do not show, to both sides or to one, are simulated by themselves, with the symmetric
interval that flexeval takes for differences and with the BCa one that it takes for means. The correlation is that of
two orders' accuracies from n samples, which is what its interval is about.

Writes coverage.md and coverage.csv. From 1000 data sets a coverage of 95 % is known to 1.4 points, from 200 to 3.1
(two standard errors).
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flexeval.stats.bootstrap import Bootstrap, bootstrap_means, interval, paired_difference, resample
from flexeval.stats.coverage import accuracy_correlation, accuracy_pairs
from flexeval.stats.curves import crossing_point, difference_band, pass_at_k_band
from flexeval.stats.intervals import LEVEL, normal_score
from flexeval.stats.pass_at_k import default_ks, pass_at_k, potential_at_k

ASKED = (93.0, 97.0)
"""Percent: where the coverage of a nominal 95 % is to lie."""
SAMPLES = (16, 64)
PROBLEMS = (50, 500)
MANY = 200_000
"""Problems from which the truth of a pair of orders is computed."""


@dataclass(frozen=True, kw_only=True)
class Population:
    """Where problems come from."""

    name: str
    alpha: float
    beta: float

    def pass_at_k(self, k: int) -> float:
        """The mean of 1 - (1 - p)^k."""
        return 1 - math.prod((self.beta + i) / (self.alpha + self.beta + i) for i in range(k))

    def chances(self, rng: np.random.Generator, problems: int) -> tuple[np.ndarray, np.ndarray]:
        """The chances of a problem under two orders: b is better on what is easy, and misses some problems."""
        a_P = rng.beta(self.alpha, self.beta, size=problems)
        b_P = np.where(rng.random(problems) < 0.7, np.minimum(1, 1.6 * a_P), 0.1 * a_P)
        return a_P, b_P


POPULATIONS = (
    Population(name="middling", alpha=0.6, beta=1.2),
    Population(name="all or nothing", alpha=0.3, beta=0.5),
    Population(name="hard", alpha=0.2, beta=2.0),
)


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """Differences of problems, of which few have any."""

    name: str
    two_sided: bool
    problems: int
    chance: float = 0.1
    """Of a problem to have a difference, of a size that is uniform in (0, 1)."""

    @property
    def truth(self) -> float:
        """The mean difference."""
        return 0.0 if self.two_sided else self.chance / 2

    def differences(self, simulations: int) -> np.ndarray:
        """One row a problem, one column a data set."""
        rng = np.random.default_rng([self.problems, self.two_sided])
        shape = (self.problems, simulations)
        size = np.where(rng.random(shape) < self.chance, rng.random(shape), 0.0)
        return np.where(rng.random(shape) < 0.5, -size, size) if self.two_sided else size


SPARSE = [
    Sparse(name=f"sparse, {'two-sided' if two_sided else 'one-sided'}", two_sided=two_sided, problems=problems)
    for two_sided in (True, False)
    for problems in (24, 50, 100)
]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One kind of data set, and the truth."""

    population: Population
    n: int
    problems: int

    @property
    def ks(self) -> list[int]:
        """Powers of two up to n."""
        return default_ks(self.n)

    def rng(self) -> np.random.Generator:
        """A generator of its own for each setting."""
        return np.random.default_rng([self.n, self.problems, POPULATIONS.index(self.population)])

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean Pass@k of the first order, and its difference to the second's."""
        a, b = self.population.chances(np.random.default_rng(0), MANY)
        difference_K = np.array([((1 - b) ** k - (1 - a) ** k).mean() for k in self.ks])
        return np.array([self.population.pass_at_k(k) for k in self.ks]), difference_K

    def correlation(self) -> float:
        """Of the accuracies under the two orders, from n samples each."""
        rng = np.random.default_rng(0)
        of_order = [rng.binomial(self.n, chances_P) for chances_P in self.population.chances(rng, MANY)]
        return float(np.corrcoef(*of_order)[0, 1])

    def correct(self, rng: np.random.Generator) -> list[np.ndarray]:
        """The correct samples of each problem, under both orders."""
        return [rng.binomial(self.n, chances_P) for chances_P in self.population.chances(rng, self.problems)]


Held = dict[str, list[np.ndarray]]
"""What was counted -> of each data set, whether the truth was held (at each k)."""


def intervals(setting: Setting, simulations: int, replicates: int) -> Held:
    """Intervals at single k. The data sets share their resamples of rows, so that one call does them all."""
    rng, ks = setting.rng(), setting.ks
    truth_K, difference_K = setting.truth()
    of_count_CK = pass_at_k(setting.n, np.arange(setting.n + 1)[:, None], np.array(ks))
    correct = [setting.correct(rng) for _ in range(simulations)]
    a, b = (pd.DataFrame(np.concatenate([of_count_CK[c[i]] for c in correct], axis=1)) for i in (0, 1))
    auc = pd.DataFrame(a.to_numpy().reshape(setting.problems, simulations, len(ks)).mean(axis=2))
    options = {"bootstrap": Bootstrap(replicates=replicates)}
    return {
        "Pass@k": held(bounds(interval(a, **options)), truth_K, simulations),
        "Pass@k, plain percentiles": held(percentiles(a, replicates), truth_K, simulations),
        "paired difference": held(bounds(paired_difference(a, b, **options)), difference_K, simulations),
        "CoverageAUC": held(bounds(interval(auc, **options)), truth_K.mean(keepdims=True), simulations),
    }


def curves(setting: Setting, simulations: int, replicates: int) -> Held:
    """Bands and what is computed from whole curves."""
    rng, ks, options = setting.rng(), setting.ks, {"bootstrap": Bootstrap(replicates=replicates)}
    truth_K, difference_K = setting.truth()
    potential_K = (truth_K - truth_K[0]) / (1 - truth_K[0])
    k_star, true_r = crossing_of(difference_K, ks), setting.correlation()
    found: Held = defaultdict(list)
    for _ in range(simulations):
        a, b = (
            pd.DataFrame({"problem_id": range(setting.problems), "n": setting.n, "c": c_P})
            for c_P in setting.correct(rng)
        )
        found["Potential@k, k > 1"] += held(potential_at_k(a, ks[1:], **options), potential_K[1:], 1)
        found["band of Pass@k"].append(held(pass_at_k_band(a, ks, **options), truth_K, 1)[0].all())
        found["band of the difference"].append(held(difference_band(a, b, ks, **options), difference_K, 1)[0].all())
        r = accuracy_correlation(accuracy_pairs(a, b), **options)
        found["correlation of accuracies"].append(np.array(r.low <= true_r <= r.high))
        crossing = crossing_point(a, b, ks, **options)
        if k_star is not None and crossing.k_star is not None:
            found["k*, where the curves cross"].append(np.array(crossing.low <= k_star <= crossing.high))
    return found


def of_sparse(sparse: Sparse, simulations: int, replicates: int) -> Held:
    """The two kinds of interval of a difference."""
    table = pd.DataFrame(sparse.differences(simulations))
    resampled = resample(table, bootstrap=Bootstrap(replicates=replicates))
    found = {
        "difference, symmetric": resampled.symmetric_bounds(normal_score(LEVEL), largest=1.0),
        "difference, BCa": resampled.bounds(normal_score(LEVEL)),
    }
    truth_K = np.array([sparse.truth])
    return {
        what: held(pd.DataFrame({"low": low, "high": high}), truth_K, simulations)
        for what, (low, high) in found.items()
    }


def bounds(intervals: dict) -> pd.DataFrame:
    return pd.DataFrame([{"low": at.low, "high": at.high} for at in intervals.values()])


def percentiles(table: pd.DataFrame, replicates: int) -> pd.DataFrame:
    """The plain percentile bootstrap."""
    means = bootstrap_means(table.to_numpy(), bootstrap=Bootstrap(replicates=replicates))
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return pd.DataFrame({"low": low, "high": high})


def held(found: pd.DataFrame, truth_K: np.ndarray, simulations: int) -> list[np.ndarray]:
    """Of each data set, at which k the bounds hold the truth; the bounds' rows are the data sets' k, one by one."""
    low, high = (found[name].to_numpy().reshape(simulations, -1) for name in ("low", "high"))
    return list((low <= truth_K + 1e-12) & (truth_K <= high + 1e-12))


def crossing_of(difference_K: np.ndarray, ks: list[int]) -> float | None:
    """k* of the true curves; None when they do not cross within ks."""
    signs = np.sign(difference_K)
    if signs[0] * signs[-1] >= 0:
        return None
    i = np.flatnonzero(signs == signs[0])[-1]
    step = difference_K[i] / (difference_K[i] - difference_K[i + 1])
    return float(ks[i] * (ks[i + 1] / ks[i]) ** step)


def shares(results: list[np.ndarray]) -> dict[str, float]:
    """In percent."""
    percent_K = 100 * np.mean(results, axis=0)
    return {
        "mean_percent": float(np.mean(percent_K)),
        "lowest_percent": float(np.min(percent_K)),
        "highest_percent": float(np.max(percent_K)),
        "simulations": len(results),
    }


def mark(row: Any) -> str:
    """One star outside what is asked, two where more than chance puts it there."""
    low, high = ASKED
    outside = max(low - row.mean_percent, row.mean_percent - high)
    chance = 2 * 100 * math.sqrt(0.95 * 0.05 / row.simulations)
    return "" if outside <= 0 else "*" if outside <= chance else "**"


def as_markdown(rows: pd.DataFrame, command: str) -> str:
    """Percent held: one table row a setting and quantity."""
    lines = ["| population | n | problems | what | held, % | lowest and highest k | simulations |"]
    lines.append("|---|---|---|---|---|---|---|")
    outside = []
    for row in rows.itertuples():
        span = f"{row.lowest_percent:.1f} to {row.highest_percent:.1f}"
        stars = mark(row)
        n = "" if pd.isna(row.n) else int(row.n)
        cells = [row.population, n, row.problems, row.what, f"{row.mean_percent:.1f}{stars}"]
        cells += [span if row.lowest_percent < row.highest_percent else "", row.simulations]
        lines.append(f"| {' | '.join(map(str, cells))} |")
        if stars:
            at = row.population if n == "" else f"{row.population}, n = {n}"
            outside.append(f"- {row.what}: {row.mean_percent:.1f}{stars} ({at}, {row.problems} problems)")
    notes = (
        "Nominal 95 %, simulated with known truth; the script says how. Bands count only when they hold the curve at "
        "every k. k* counts among the data sets whose curves cross, which are not a fair sample of them where few do. "
        "A band is fitted to its own replicates, so that few of them make it narrow: with the default of 10,000 bands "
        "hold up to a point more than here. Where few problems differ at all, the symmetric interval, which flexeval "
        "takes, holds more than it says, since it allows for problems that were not met; BCa holds too little."
    )
    said = (
        f"Outside {ASKED[0]:g} to {ASKED[1]:g} % (** by more than two standard errors of so many simulations, * by "
        "less):"
    )
    listed = "\n".join(sorted(outside)) if outside else "- none"
    return f"# Coverage of the intervals\n\n`{command}`\n\n{notes}\n\n{said}\n\n{listed}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="data sets of each setting for intervals")
    parser.add_argument("--curves", type=int, default=200, help="data sets of each setting for bands and k*")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap replicates")
    parser.add_argument("--out", type=Path, default=Path("results/stats"), help="folder of the results")
    given = parser.parse_args()
    rows: list[dict] = []
    for problems, n, population in itertools.product(PROBLEMS, SAMPLES, POPULATIONS):
        setting = Setting(population=population, n=n, problems=problems)
        results = intervals(setting, given.simulations, given.replicates) | curves(
            setting, given.curves, given.replicates
        )
        named = {"population": population.name, "n": n, "problems": problems}
        rows += [{**named, "what": what, **shares(found)} for what, found in results.items()]
        print(pd.DataFrame(rows[-len(results) :]).to_string(index=False, float_format="%.1f"), flush=True)
    for sparse in SPARSE:
        results = of_sparse(sparse, given.simulations, given.replicates)
        named = {"population": sparse.name, "n": None, "problems": sparse.problems}
        rows += [{**named, "what": what, **shares(found)} for what, found in results.items()]
    table = pd.DataFrame(rows).astype({"n": "Int64"})
    command = (
        f"python analyses/interval_coverage.py --simulations {given.simulations} --curves {given.curves} "
        f"--replicates {given.replicates}"
    )
    given.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.out / "coverage.csv", index=False)
    (given.out / "coverage.md").write_text(as_markdown(table, command))


if __name__ == "__main__":
    main()
