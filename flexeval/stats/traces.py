"""The course of a decode by verdict: how evenly its confidence is spread, and whether its entropy falls block by block.

Every sample has one value of each quantity, over the tokens of its text. Means are over samples, intervals by problem.
Samples that are correct are compared with those that are not; easy problems have more of the former, so that the
difference is between samples, not between two ways to solve one problem.

Axis suffixes: `R` token rows of the texts, `S` samples.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.pooled import Pooled, pool, pooled_difference, problem_ids

QUANTITIES = ("log_prob", "log_prob_variance", "entropy_descends", "entropy_correlation")
"""What a sample has:

- `log_prob`: the mean of log q over its tokens, q the untempered probability of a token when it was committed; nats;
- `log_prob_variance`: Var(log q), the variance over the same tokens (divided by their number); squared nats. Yao 2026
  (arXiv:2606.00997) reports it beside the mean: at one total likelihood, paths that spread it evenly recover more;
- `entropy_descends`: 1 if the mean entropy at commit rises from no block to the next, else 0. Blocks are the windows of
  `block_length` positions, as far as the text goes; unknown (NaN) for a text within one block;
- `entropy_correlation`: Spearman's correlation of the number of the block and its mean entropy; negative where entropy
  falls, unknown for a text within one block, and where all blocks have the same entropy.

The last two are after "Break the Block" (arXiv:2605.02263), which finds that block-wise entropy descends in correct
samples and fluctuates in others; its training objective is not computed here.
"""
CORRECT, INCORRECT, GAP = "correct", "incorrect", "correct − incorrect"
KEYS = ["problem_id", "sample_index"]


def trace_table(tokens: pd.DataFrame, samples: pd.DataFrame, *, block_length: int) -> pd.DataFrame:
    """The quantities of each sample.

    Args:
        tokens: token rows with position, in_text, prob and entropy.
        samples: columns problem_id, sample_index, correct; a sample without a text token has no value (NaN).
        block_length: of the run.

    Returns:
        problem_id, sample_index, correct, and `QUANTITIES`; one row a sample, in the order of `samples`.
    """
    text = tokens[tokens["in_text"]]
    # Float32 rounds what is less likely than this to 0.
    prob_R = np.maximum(text["prob"].to_numpy(np.float64), np.finfo(np.float32).tiny)
    rows = text[KEYS].assign(log_prob=np.log(prob_R), block=text["position"] // block_length, entropy=text["entropy"])
    by_sample = rows.groupby(KEYS, observed=True)["log_prob"]
    blocks = rows.groupby([*KEYS, "block"], observed=True)["entropy"].mean().astype("float64").reset_index()
    found = _descents(blocks).assign(log_prob=by_sample.mean(), log_prob_variance=by_sample.var(ddof=0))
    return samples[[*KEYS, "correct"]].merge(found.reset_index(), on=KEYS, how="left")


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
        gap = pooled_difference(sides[CORRECT], sides[INCORRECT], bootstrap=bootstrap)
        rows.append((quantity, GAP, gap.estimate, gap.low, gap.high, sum(row[5] for row in rows[-2:]), gap.problems))
    columns = ["quantity", "verdict", "estimate", "low", "high", "count", "problems"]
    return pd.DataFrame(rows, columns=columns)


def block_entropy(
    tokens: pd.DataFrame, samples: pd.DataFrame, *, block_length: int, bootstrap: Bootstrap = DEFAULT
) -> pd.DataFrame:
    """The mean entropy at commit of the text tokens of each block, for correct samples and for others.

    Args:
        tokens, samples, block_length: as `trace_table`.
        bootstrap: level, replicates and seed.

    Returns:
        One row a verdict and block that has a token: verdict, block (from 0), estimate, low, high (nats), count (of
        tokens), problems.

    Raises:
        InputError: no problem.
    """
    text = tokens.loc[tokens["in_text"], [*KEYS, "position", "entropy"]].merge(samples[[*KEYS, "correct"]], on=KEYS)
    block_R = (text["position"] // block_length).to_numpy(np.int64)
    blocks = int(block_R.max(initial=-1)) + 1
    problems, tables = problem_ids(samples["problem_id"]), []
    for verdict, own in _verdicts(text["correct"]).items():
        group_R = np.where(own, block_R, -1)
        pooled = pool(text["entropy"], text["problem_id"], group_N=group_R, groups=blocks, problems=problems)
        low_K, high_K = pooled.intervals(bootstrap)
        columns = {
            "verdict": verdict,
            "block": np.arange(blocks),
            "estimate": pooled.estimates_K,
            "low": low_K,
            "high": high_K,
            "count": pooled.counts_PK.sum(axis=0).astype(np.int64),
            "problems": pooled.problems_K,
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


def _descents(blocks: pd.DataFrame) -> pd.DataFrame:
    """entropy_descends and entropy_correlation of each sample, from its mean entropy by block, in order."""
    of_sample = blocks.groupby(KEYS, observed=True)
    several = of_sample.size() > 1
    rises = blocks.assign(rises=of_sample["entropy"].diff() > 0).groupby(KEYS, observed=True)["rises"].any()
    ranks = blocks[KEYS].assign(x=of_sample.cumcount(), y=of_sample["entropy"].rank())
    ranks[["x", "y"]] -= ranks.groupby(KEYS, observed=True)[["x", "y"]].transform("mean")
    products = ranks[KEYS].assign(xy=ranks["x"] * ranks["y"], xx=ranks["x"] ** 2, yy=ranks["y"] ** 2)
    sums = products.groupby(KEYS, observed=True)[["xy", "xx", "yy"]].sum()
    varies = (sums["xx"] > 0) & (sums["yy"] > 0)
    return pd.DataFrame(
        {
            "entropy_descends": (~rises).astype("float64").where(several),
            "entropy_correlation": sums["xy"] / np.sqrt((sums["xx"] * sums["yy"]).where(varies)),
        }
    )
