"""Pass@NFE: the chance to have solved a problem within a budget of mask-predictor evaluations. And how many tokens an
evaluation gives: tokens per step, tokens per forward, and accuracy under parallelism (AUP).

If a sample costs more evaluations under one order than under another, equal k is not equal work. Here samples are drawn
one after another until the budget is spent; a sample counts only if the budget covers all of its cost.

Knows samples by their problem, verdict and cost. It does not know how they came about.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap, resample
from flexeval.stats.intervals import Interval
from flexeval.stats.parts import Rows, parts_of
from flexeval.stats.pooled import Pooled, pooled_interval
from flexeval.stats.verdict import Floats

Costs = NDArray[np.int64]


def pass_at_nfe(
    samples: pd.DataFrame,
    budgets: Sequence[int],
    *,
    tasks: Sequence[Hashable] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Mean Pass@NFE over problems at each budget, with intervals.

    Args:
        samples: columns problem_id, correct, nfe; one row a sample.
        budgets: total evaluations that may be spent on a problem.
        tasks: the task of each problem, in the order in which the problems appear.
        bootstrap: level, replicates and seed.

    Returns:
        One row a budget: nfe, estimate, low, high, as fractions.

    Raises:
        InputError: what `pass_at_nfe_table` and `interval` refuse.
    """
    table = pass_at_nfe_table(samples, budgets)
    resampled = resample(table, tasks=tasks, bootstrap=bootstrap)
    low_K, high_K = resampled.bounds(bootstrap.score)
    return pd.DataFrame({"nfe": list(budgets), "estimate": resampled.means_K, "low": low_K, "high": high_K})


def pass_at_nfe_table(samples: pd.DataFrame, budgets: Sequence[int]) -> pd.DataFrame:
    """Pass@NFE of every problem at every budget, as fractions: one row a problem, one column a budget.

    The samples of a problem are tried in random order without replacement; the value is the exact chance that a
    correct one is reached before the costs of all that were tried, its own included, exceed the budget. It is the
    unbiased estimate of that chance for fresh samples. With one cost v for all it is Pass@k at k = budget // v. A
    sample may cost nothing, as an empty text does whose end the prompt's last block decides.

    Args:
        samples: columns problem_id, correct, nfe; one row a sample.
        budgets: total evaluations that may be spent on a problem.

    Raises:
        InputError: no sample, no budget, a budget below 1, samples that all cost nothing, or a budget that outlasts
            all samples of a problem, which is named.
    """
    if samples.empty:
        raise InputError("there is no sample to compute Pass@NFE of; sample at least one")
    if not len(budgets) or min(budgets) < 1:
        raise InputError(f"Pass@NFE needs budgets of at least 1 evaluation, not {list(budgets)}")
    if not samples["nfe"].any():
        raise InputError("no sample has a cost, as those that another program drew; leave Pass@NFE out")
    by_problem = samples.groupby("problem_id", sort=False, observed=True)
    spent = by_problem["nfe"].sum()
    if spent.min() < max(budgets):
        raise InputError(
            f"a budget of {max(budgets)} evaluations outlasts the samples of {spent.idxmin()!r}, which cost "
            f"{spent.min()} in all; sample more, or keep the budget <= {spent.min()}"
        )
    rows = {
        problem_id: _solved_within(group["nfe"].to_numpy(np.int64), group["correct"].to_numpy(np.bool_), budgets)
        for problem_id, group in by_problem
    }
    columns = pd.Index(budgets, name="nfe")
    return pd.DataFrame.from_dict(rows, orient="index").set_axis(columns, axis=1).rename_axis("problem_id")


def default_budgets(*samples: pd.DataFrame) -> list[int]:
    """The powers of two from what an average sample of the cheapest run costs to what every problem has spent.

    Args:
        samples: of each run that is to be compared; columns problem_id, nfe.
    """
    cheapest = min(float(run["nfe"].mean()) for run in samples)
    largest = min(int(run.groupby("problem_id", observed=True)["nfe"].sum().min()) for run in samples)
    return [2**i for i in range(largest.bit_length()) if cheapest <= 2**i <= largest] or [largest]


def tokens_per_step(tokens: Rows, samples: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> Interval:
    """Committed positions over evaluations, both summed over all samples, with its interval over problems.

    Positions after the end of a text count too, since they cost evaluations too. Under guidance, an order that commits
    one position a step has 0.5, because a step costs two evaluations.

    Args:
        tokens: column problem_id; one row a committed position; a frame or parts.
        samples: columns problem_id, nfe; one row a sample, those without a position included.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: no sample, or no evaluation.
    """
    nfe = samples.groupby("problem_id", sort=False, observed=True)["nfe"].sum()
    committed = pd.Series(0, index=nfe.index)
    for part in parts_of(tokens):
        committed += part["problem_id"].value_counts().reindex(nfe.index, fill_value=0)
    return _per_evaluation(committed, nfe, bootstrap)


def tokens_per_forward(samples: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> Interval:
    """Tokens of the texts over evaluations, both summed over all samples (TPF), with its interval over problems.

    The dLLM leaderboard's definition (github.com/ZHZisZZ/dllm, leaderboard/evaluation.html): summed counters, not a
    mean of ratios. A text ends before its first end token: what is committed after it, and the prompt, add no token,
    while their evaluations count. So it is at most `tokens_per_step`. It is 1 for one token a step in texts that fill
    the canvas. Guidance counts two evaluations a step.

    Args:
        samples: columns problem_id, length, nfe; one row a sample.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: no sample, or no evaluation.
    """
    by_problem = samples.groupby("problem_id", sort=False, observed=True)
    return _per_evaluation(by_problem["length"].sum(), by_problem["nfe"].sum(), bootstrap)


def _per_evaluation(tokens: pd.Series[int], nfe: pd.Series[int], bootstrap: Bootstrap) -> Interval:
    """Tokens over evaluations, both by problem."""
    if not nfe.sum():
        raise InputError("there is no evaluation to count tokens by; sample at least one")
    tokens_P, nfe_P = (np.asarray(column, dtype=np.float64) for column in (tokens, nfe))
    pooled = Pooled(sums_PK=tokens_P[:, None], counts_PK=nfe_P[:, None])
    return pooled_interval(pooled, bootstrap=bootstrap)


AUP_PENALTY = 3.0
AUP_TOLERANCE = 0.05
"""AUP's constants: how fast a loss of accuracy costs weight, and the loss beyond which a setting does not count."""


def accuracy_under_parallelism(tpf: Sequence[float], accuracy: Sequence[float], *, best: float) -> float:
    """AUP: the area under accuracy over tokens per forward, where accuracy below the best one counts less.

    Qian et al. 2026 ("d3LLM: Ultra-Fast Diffusion LLM using Pseudo-Trajectory Distillation", ICML 2026), constants as
    in their aup_utils.py. With settings 1, 2, ... of rising TPF r and accuracy y, those left out that have
    y < y_1 - 0.05,

        AUP = r_1 y_1 + sum over i >= 2 of (r_i - r_(i-1)) (y_i W_i + y_(i-1) W_(i-1)) / 2,
        W = min(exp(-3 (1 - y / best)), 1).

    The first term has no weight. A method that commits one token a forward and has no faster setting has AUP = y_1.

    Args:
        tpf: tokens per forward of each setting of one method, above 0.
        accuracy: its Pass@1, a fraction.
        best: the highest accuracy of all methods on the task, a fraction: W is relative to it, so that only numbers
            with the same `best` can be compared.

    Returns:
        Accuracy times tokens per forward; published numbers are of percent, 100 times this.

    Raises:
        InputError: no setting, unequal numbers of both, a TPF or `best` not above 0.
    """
    if not len(tpf) or len(tpf) != len(accuracy):
        raise InputError(
            f"AUP needs an accuracy for each TPF, at least one; there are {len(tpf)} and {len(accuracy)} numbers"
        )
    if min(tpf) <= 0 or best <= 0:
        raise InputError(f"AUP needs TPF and a best accuracy above 0, not {min(tpf)} and {best}")
    (r_1, y_1), *faster = sorted(zip(tpf, accuracy, strict=True))
    # A loss of exactly the tolerance counts, however floats round it.
    kept = [(r_1, y_1), *((r, y) for r, y in faster if y - y_1 + AUP_TOLERANCE > -1e-9)]
    weighted = [y * min(math.exp(-AUP_PENALTY * (1 - y / best)), 1.0) for _, y in kept]
    steps = zip(itertools.pairwise(kept), itertools.pairwise(weighted), strict=True)
    return r_1 * y_1 + sum((r - before) * (low + high) / 2 for ((before, _), (r, _)), (low, high) in steps)


def _solved_within(nfe: Costs, correct: NDArray[np.bool_], budgets: Sequence[int]) -> Floats:
    """The chance of a problem at each budget."""
    unit = int(np.gcd.reduce(nfe)) or 1
    costs, limits = nfe // unit, np.asarray(budgets, dtype=np.int64) // unit
    right, wrong = costs[correct], costs[~correct]
    if not len(right):
        return np.zeros(len(limits))
    failed_X = _cost_of_failures(wrong, len(right), int(limits.max()))
    affordable_X = np.searchsorted(np.sort(right), np.arange(limits.max() + 1), side="right") / len(right)
    return np.array([failed_X[: limit + 1] @ affordable_X[limit::-1] for limit in limits])


def _cost_of_failures(wrong: Costs, right: int, limit: int) -> Floats:
    """The chance that the samples tried before the first correct one cost x in all, for x = 0..limit.

    That the first m are wrong and the next is right has a chance that does not depend on costs; given m, they are a
    random m-subset of the wrong samples. Its cost is built up one wrong sample at a time: the i-th is in a random
    m-subset of the first i with chance m / i.
    """
    most = int(np.searchsorted(np.cumsum(np.sort(wrong)), limit, side="right"))
    cost_MX = np.zeros((most + 1, limit + 1))
    cost_MX[0, 0] = 1.0
    size_M = np.arange(most + 1)
    for i, cost in enumerate(wrong.tolist(), start=1):
        with_it = np.minimum(size_M / i, 1.0)[1:, None]
        added_MX = cost_MX[:-1, : max(0, limit + 1 - cost)] * with_it
        cost_MX[1:] *= 1 - with_it
        cost_MX[1:, cost:] += added_MX
    first_M = np.empty(most + 1)
    all_wrong = 1.0
    for m in range(most + 1):
        left = len(wrong) + right - m
        first_M[m] = all_wrong * right / left
        all_wrong *= (left - right) / left
    return first_M @ cost_MX
