"""The order in which a text was committed: a map, how nearly from left to right, how alike between samples.

Only positions of the text count. If a measure needs an order among positions that were committed in one step, they
count as committed from left to right.

Axis suffixes: `R` token rows of the text, `S` samples, `G` positions, `M` pairs of positions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.stats.parts import Rows
from flexeval.stats.pass_at_k import whole
from flexeval.stats.ranks import binned, count_cells
from flexeval.stats.words import first_rows

_NEVER = np.iinfo(np.int32).max


def commit_step_map(tokens: Rows, *, bins: int | None = None) -> pd.DataFrame:
    """How often each position was committed at each step: the cells of a heat map.

    Args:
        tokens: rows as `Run.tokens()` gives them; a frame or parts.
        bins: group positions and steps into so many ranges of equal width; None does not group.

    Returns:
        position, step (the first of their range), share: of the tokens at that position, a fraction, so that the
        shares of a position add up to 1. Cells without a token are left out.

    Raises:
        InputError: bins below 1.
    """
    cells = count_cells(tokens, lambda text: {"position": text["position"], "step": text["commit_step"]})
    for name in ("position", "step"):
        cells[name] = binned(cells[name].to_numpy(), bins)
    counts = cells.groupby(["position", "step"])["count"].sum()
    share = counts / counts.groupby("position").transform("sum")
    return share.rename("share").reset_index()


def local_ar_ness(tokens: pd.DataFrame, *, ks: Sequence[int] = (1, 2, 4, 8)) -> pd.DataFrame:
    """Local AR-ness@k: how often commits go on to the next position.

    Of all runs of k consecutive commits after the first, the share in which every commit is at the position right after
    the commit before it (DiffuCoder, arXiv:2506.20639, section 4.1). It falls with k.

    Args:
        tokens: rows as `Run.tokens()` gives them.
        ks: lengths of the runs.

    Returns:
        One row a problem, one column a k: the mean over its samples, a fraction; `flexeval.stats.bootstrap.interval`
        takes it. Samples with at most k text tokens are left out; NaN where no sample is left.

    Raises:
        InputError: no k, or one that is not whole or below 1.
    """
    _check_ks(ks)
    text = _text(tokens)
    sample_R = np.cumsum(first_rows(text)) - 1
    position_R, step_R = text["position"].to_numpy(), text["commit_step"].to_numpy()
    order_R = np.lexsort((position_R, step_R, sample_R))

    # How many commits in a row, up to each, followed the one before.
    sample_R, position_R = sample_R[order_R], position_R[order_R]
    follows_R = (np.diff(position_R, prepend=-2) == 1) & (np.diff(sample_R, prepend=-1) == 0)
    place_R = np.arange(len(sample_R))
    in_a_row_R = place_R - np.maximum.accumulate(np.where(follows_R, 0, place_R)) if len(place_R) else place_R

    length_S = np.bincount(sample_R)
    runs_hits = {
        k: (np.maximum(length_S - k, 0), np.bincount(sample_R[in_a_row_R >= k], minlength=len(length_S))) for k in ks
    }
    return _by_problem(text, {k: _share(hits_S, runs_S) for k, (runs_S, hits_S) in runs_hits.items()})


def global_ar_ness(tokens: pd.DataFrame, *, ks: Sequence[int] = (1, 2, 4, 8)) -> pd.DataFrame:
    """Global AR-ness@k: how often a commit is at one of the k leftmost positions that are still masked.

    DiffuCoder, arXiv:2506.20639, section 4.1. It grows with k; at k = 1 it is the share of commits at the frontier.

    Args:
        tokens: rows as `Run.tokens()` gives them.
        ks: how many leftmost masks to look at.

    Returns:
        One row a problem, one column a k: the mean over its samples of the share of commits, a fraction.

    Raises:
        InputError: no k, or one that is not whole or below 1.
    """
    _check_ks(ks)
    text = _text(tokens)
    steps_SG = _steps(text)
    masks_before_SG = np.zeros(steps_SG.shape, dtype=np.int32)
    for position in range(steps_SG.shape[1] - 1):
        # What is committed at the same step further left counts as committed before.
        masks_before_SG[:, position + 1 :] += _later(steps_SG[:, position, None], steps_SG[:, position + 1 :])
    held_SG = steps_SG != _NEVER
    length_S = held_SG.sum(axis=1)
    return _by_problem(text, {k: _share(((masks_before_SG < k) & held_SG).sum(axis=1), length_S) for k in ks})


def order_distance(tokens: pd.DataFrame) -> pd.DataFrame:
    """How differently the samples of a problem were ordered: normalised Kendall distance of their commit steps.

    For two samples, over the positions that both texts have: the share of pairs of positions that one sample committed
    in one order and the other in the opposite order. A pair that exactly one of them committed at a single step counts
    half (Fagin et al., Comparing Top k Lists, SIAM J. Discrete Math. 2003, with p = 1/2). 0 for equal orders, 1 for
    reversed ones, 1/2 on average for two random ones.

    Args:
        tokens: rows as `Run.tokens()` gives them.

    Returns:
        problem_id, distance (the mean over pairs of samples; NaN where there is none), pairs (of samples that share at
        least two positions).
    """
    text = _text(tokens)
    steps_SG = _steps(text)
    firsts = text.loc[first_rows(text), "problem_id"]
    rows = []
    for problem_id, members_S in firsts.groupby(firsts.to_numpy(), sort=False).indices.items():
        distances = _distances(steps_SG[members_S])
        rows.append((problem_id, distances.mean() if len(distances) else np.nan, len(distances)))
    return pd.DataFrame(rows, columns=["problem_id", "distance", "pairs"])


def _distances(steps_SG: NDArray[np.int32]) -> NDArray[np.float64]:
    """Of all pairs of samples that share two positions."""
    held_G = np.flatnonzero((steps_SG != _NEVER).sum(axis=0) > 1)
    # Samples of one order, as all are under `ar`, need no comparing with each other.
    steps_UH, order_S = np.unique(steps_SG[:, held_G], axis=0, return_inverse=True)
    left_M, right_M = np.triu_indices(len(held_G), k=1)
    left_UM, right_UM = steps_UH[:, left_M], steps_UH[:, right_M]
    shared_UM = ((left_UM != _NEVER) & (right_UM != _NEVER)).astype(np.float32)
    sign_UM = (right_UM > left_UM).astype(np.float32)
    sign_UM -= right_UM < left_UM
    sign_UM *= shared_UM
    ordered_UM = np.abs(sign_UM)
    # Opposite signs give 1, one sign 1/2, none 0: (a^2 + b^2 - a^2 b^2 - ab) / 2, over the pairs that both have.
    ordered_UU = ordered_UM @ shared_UM.T
    apart_UU = (ordered_UU + ordered_UU.T - ordered_UM @ ordered_UM.T - sign_UM @ sign_UM.T) / 2
    shared_UU = shared_UM @ shared_UM.T
    first, second = (order_S[places] for places in np.triu_indices(len(order_S), k=1))
    pairs = shared_UU[first, second]
    distances: NDArray[np.float64] = apart_UU[first, second][pairs > 0].astype(np.float64) / pairs[pairs > 0]
    return distances


def _later(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether the left position was still masked when the right one was committed."""
    later: NDArray[np.bool_] = (left > right) & (left != _NEVER)
    return later


def _text(tokens: pd.DataFrame) -> pd.DataFrame:
    return tokens.loc[tokens["in_text"].to_numpy(), ["problem_id", "sample_index", "position", "commit_step"]]


def _steps(text: pd.DataFrame) -> NDArray[np.int32]:
    """Commit steps [S, G]; `_NEVER` where a sample's text has no such position."""
    sample_R = np.cumsum(first_rows(text)) - 1
    position_R = text["position"].to_numpy()
    steps_SG = np.full((sample_R.max(initial=-1) + 1, position_R.max(initial=-1) + 1), _NEVER, dtype=np.int32)
    steps_SG[sample_R, position_R] = text["commit_step"].to_numpy()
    return steps_SG


def _by_problem(text: pd.DataFrame, columns: dict[int, NDArray[np.float64]]) -> pd.DataFrame:
    """The mean over the samples of each problem that have a value."""
    firsts = text.loc[first_rows(text), "problem_id"]
    table = pd.DataFrame(columns, index=pd.Index(firsts.to_numpy(dtype=object), name="problem_id"))
    return table.rename_axis(columns="k").groupby(level=0, sort=False).mean()


def _share(part_S: NDArray[np.int64], whole_S: NDArray[np.int64]) -> NDArray[np.float64]:
    share_S: NDArray[np.float64] = np.divide(part_S, whole_S, out=np.full(len(whole_S), np.nan), where=whole_S > 0)
    return share_S


def _check_ks(ks: Sequence[int]) -> None:
    if not len(ks) or whole("k", list(ks)).min() < 1:
        raise InputError(f"AR-ness@k needs every k to be at least 1, not {list(ks)}")
