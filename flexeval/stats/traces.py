"""The course of a decode by verdict: how evenly its confidence is spread, and whether its entropy falls block by block.

Every sample has one value of each quantity, over the tokens of its text. Means are over samples, intervals by problem.
Samples that are correct are compared with those that are not; easy problems have more of the former, so that the
difference is between samples, not between two ways to solve one problem.

Axis suffixes: `R` token rows of the texts, `S` samples.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.parts import Rows, parts_of
from flexeval.stats.pooled import Pooled, pool, pool_parts, pooled_difference, problem_ids
from flexeval.stats.words import first_rows

QUANTITIES = ("log_prob", "log_prob_variance", "entropy_descends", "entropy_correlation")
"""What a sample has:

- `log_prob`: the mean of log q over its tokens, q the untempered probability of a token when it was committed; nats;
- `log_prob_variance`: Var(log q), the variance over the same tokens (divided by their number); squared nats. Yao 2026
  (arXiv:2606.00997) reports it beside the mean: at one total likelihood, paths that spread it evenly recover more;
- `entropy_descends`: 1 if the mean entropy at commit rises from no block to the next, else 0. Blocks are those that the
  canvas was filled in, as far as the text goes; unknown (NaN) for a text within one block;
- `entropy_correlation`: Spearman's correlation of the number of the block and its mean entropy; negative where entropy
  falls, unknown for a text within one block, and where all blocks have the same entropy.

The last two are after "Break the Block" (arXiv:2605.02263), which finds that block-wise entropy descends in correct
samples and fluctuates in others; its training objective is not computed here.
"""
_LARGEST = {"entropy_descends": 1.0, "entropy_correlation": 2.0}
"""The largest difference of two means of a quantity."""
CORRECT, INCORRECT, GAP = "correct", "incorrect", "correct − incorrect"
KEYS = ["problem_id", "sample_index"]


def trace_table(tokens: Rows, samples: pd.DataFrame) -> pd.DataFrame:
    """The quantities of each sample.

    Args:
        tokens: rows as `Run.tokens()` gives them with block, in_text, prob and entropy; a frame or parts.
        samples: columns problem_id, sample_index, correct; a sample without a text token has no value (NaN).

    Returns:
        problem_id, sample_index, correct, and `QUANTITIES`; one row a sample, in the order of `samples`.
    """
    found = pd.concat([_traces(part) for part in parts_of(tokens)], ignore_index=True)
    return samples[[*KEYS, "correct"]].merge(found, on=KEYS, how="left")


def _traces(tokens: pd.DataFrame) -> pd.DataFrame:
    """Those of the samples of a part, with `KEYS`."""
    text = tokens[tokens["in_text"]]
    first_R = first_rows(text)
    start_S = np.flatnonzero(first_R)
    rows_S = np.diff(start_S, append=len(text))
    # Float32 rounds what is less likely than this to 0.
    log_prob_R = np.log(np.maximum(text["prob"].to_numpy(np.float64), np.finfo(np.float32).tiny))
    mean_S = _sums(log_prob_R, start_S) / rows_S
    variance_S = _sums((log_prob_R - np.repeat(mean_S, rows_S)) ** 2, start_S) / rows_S

    block_R = text["block"].to_numpy()
    start_B = np.flatnonzero(first_R | (np.diff(block_R, prepend=-1) != 0))
    entropy_B = _sums(text["entropy"].to_numpy(np.float64), start_B) / np.diff(start_B, append=len(text))
    # Rounded as entropies are stored, so that equal blocks stay equal.
    rounded_B = entropy_B.astype(np.float32).astype(np.float64)
    descents = _descents(pd.DataFrame({"sample": np.cumsum(first_R)[start_B] - 1, "entropy": rounded_B}))
    keys = text[KEYS].iloc[start_S].reset_index(drop=True)
    return keys.assign(**descents, log_prob=mean_S, log_prob_variance=variance_S)


def _sums(values_N: NDArray[np.float64], start_K: NDArray[np.intp]) -> NDArray[np.float64]:
    """Of the stretches that begin at these places."""
    return np.add.reduceat(values_N, start_K) if len(start_K) else np.zeros(0)


def traces_by_verdict(traces: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> pd.DataFrame:
    """The mean of each quantity over correct samples, over the others, and the first minus the second.

    Args:
        traces: from `trace_table`.
        bootstrap: level, replicates and seed.

    Returns:
        One row a quantity and verdict ("correct", "incorrect", and their difference): quantity, verdict, estimate, low,
        high, count (samples with a value; of the difference all), problems. NaN where there is no such sample.

    Raises:
        InputError: no sample.
    """
    rows = []
    for quantity in QUANTITIES:
        sides = _by_verdict(traces[quantity], traces)
        for verdict, side in sides.items():
            low_K, high_K = side.intervals(bootstrap)
            count, problems = int(side.counts_PK.sum()), int(side.problems_K[0])
            rows.append((quantity, verdict, side.estimates_K[0], low_K[0], high_K[0], count, problems))
        largest = _LARGEST.get(quantity, math.inf)
        gap = pooled_difference(sides[CORRECT], sides[INCORRECT], largest=largest, bootstrap=bootstrap)
        rows.append((quantity, GAP, gap.estimate, gap.low, gap.high, sum(row[5] for row in rows[-2:]), gap.problems))
    columns = ["quantity", "verdict", "estimate", "low", "high", "count", "problems"]
    return pd.DataFrame(rows, columns=columns)


def block_entropy(tokens: Rows, samples: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> pd.DataFrame:
    """The mean entropy at commit of the text tokens of each block, for correct samples and for others.

    Args:
        tokens, samples: as `trace_table`.
        bootstrap: level, replicates and seed.

    Returns:
        One row a verdict and block that has a token: verdict, block (from 0), estimate, low, high (nats), count (of
        tokens), problems.

    Raises:
        InputError: no problem.
    """
    problems = problem_ids(samples["problem_id"])
    correct = samples[[*KEYS, "correct"]]

    def measure(part: pd.DataFrame) -> Pooled:
        # Correct samples' blocks stand at even places, others' at odd ones.
        text = part[part["in_text"]]
        first_R = first_rows(text)
        verdict_S = text.loc[first_R, KEYS].merge(correct, on=KEYS, how="left")["correct"].map({True: 0, False: 1})
        rows_S = np.diff(np.flatnonzero(first_R), append=len(text))
        verdict_R = np.repeat(verdict_S.fillna(-1).to_numpy(np.int64), rows_S)
        block_R = text["block"].to_numpy(np.int64)
        group_R = np.where(verdict_R < 0, -1, 2 * block_R + verdict_R)
        blocks = int(block_R.max(initial=-1)) + 1
        return pool(text["entropy"], text["problem_id"], group_N=group_R, groups=2 * blocks, problems=problems)

    pooled = pool_parts(tokens, measure)
    tables = []
    for place, verdict in enumerate((CORRECT, INCORRECT)):
        own = pooled.groups(np.arange(place, pooled.counts_PK.shape[1], 2))
        low_K, high_K = own.intervals(bootstrap)
        columns = {
            "verdict": verdict,
            "block": np.arange(own.counts_PK.shape[1]),
            "estimate": own.estimates_K,
            "low": low_K,
            "high": high_K,
            "count": own.counts_PK.sum(axis=0).astype(np.int64),
            "problems": own.problems_K,
        }
        tables.append(pd.DataFrame(columns))
    table = pd.concat(tables, ignore_index=True)
    return table[table["count"] > 0].reset_index(drop=True)


def _verdicts(correct: pd.Series) -> dict[str, NDArray[np.bool_]]:
    right = correct.to_numpy(dtype=np.bool_)
    return {CORRECT: right, INCORRECT: ~right}


def _by_verdict(values: pd.Series, traces: pd.DataFrame) -> dict[str, Pooled]:
    if traces.empty:
        raise InputError("there is no sample to look at; sample at least one")
    problems = problem_ids(traces["problem_id"])
    return {
        verdict: pool(values, traces["problem_id"], group_N=np.where(own, 0, -1), problems=problems)
        for verdict, own in _verdicts(traces["correct"]).items()
    }


def _descents(blocks: pd.DataFrame) -> dict[str, pd.Series]:
    """entropy_descends and entropy_correlation of each sample, from its mean entropy by block, in order."""
    of_sample = blocks.groupby("sample")
    several = of_sample.size() > 1
    rises = (of_sample["entropy"].diff() > 0).groupby(blocks["sample"]).any()
    ranks = pd.DataFrame({"x": of_sample.cumcount(), "y": of_sample["entropy"].rank()})
    ranks -= ranks.groupby(blocks["sample"]).transform("mean")
    products = pd.DataFrame({"xy": ranks["x"] * ranks["y"], "xx": ranks["x"] ** 2, "yy": ranks["y"] ** 2})
    sums = products.groupby(blocks["sample"]).sum()
    varies = (sums["xx"] > 0) & (sums["yy"] > 0)
    return {
        "entropy_descends": (~rises).astype("float64").where(several),
        "entropy_correlation": sums["xy"] / np.sqrt((sums["xx"] * sums["yy"]).where(varies)),
    }
