"""How likely the committed tokens were: their ranks, and how often the likeliest token was the one.

The record has, of each committed token, its probability and rank and the probability of the likeliest token, all
untempered, at the moment of commit. It does not have the rest of that distribution, nor the proposals that a
propose-then-select order drew and did not commit. So neither the probability of the likeliest token *at the sampling
temperature* nor the average proposal is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.intervals import Interval
from flexeval.stats.parts import Rows, parts_of
from flexeval.stats.pooled import Pooled, pool, pool_parts, pooled_interval, problem_ids

RANK_EDGES = (0, 1, 2, 5, 10)
"""Ranks are reported as 0, 1, 2-4, 5-9 and 10 or more."""


def non_top_rate(tokens: Rows, *, bootstrap: Bootstrap = DEFAULT) -> Interval:
    """The share of text tokens that were not the likeliest when they were committed; a fraction, with its interval.

    arXiv:2609.34509: select-then-sample orders commit a non-top token with probability 1 - c, c the tempered
    probability of the top token; `confidence`, with m independent positions to choose from, with (1 - c)^m.

    Args:
        tokens: token rows; a frame or parts.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: no problem.
    """
    pooled = pool_parts(tokens, _non_top)
    return pooled_interval(pooled, largest=1.0, bootstrap=bootstrap)


def _non_top(tokens: pd.DataFrame) -> Pooled:
    text = tokens[tokens["in_text"]]
    return pool(text["rank"] > 0, text["problem_id"], problems=problem_ids(tokens["problem_id"]))


def rank_by_step(tokens: Rows, *, bins: int | None = None, edges: Sequence[int] = RANK_EDGES) -> pd.DataFrame:
    """The distribution of the ranks of committed tokens at each step.

    Args:
        tokens: token rows; a frame or parts.
        bins: group steps into so many ranges of equal width; None does not group.
        edges: the first rank of each range of ranks; the last range is open.

    Returns:
        step (the first of its range), rank (a label, as "2-4"), share (of the text tokens committed at that step, a
        fraction), count (of tokens of these ranks). Every step has every range of ranks.

    Raises:
        InputError: edges that do not rise from 0, or bins below 1.
    """
    if list(edges) != sorted(set(edges)) or list(edges[:1]) != [0]:
        raise InputError(f"the edges of ranks must rise from 0, as in 0,1,2,5,10; not {list(edges)}")
    ends = np.asarray(edges)
    cells = count_cells(
        tokens, lambda text: {"step": text["commit_step"], "range": np.searchsorted(ends, text["rank"], "right") - 1}
    )
    cells["step"] = binned(cells["step"].to_numpy(), bins)
    counts = cells.pivot_table(index="step", columns="range", values="count", aggfunc="sum", fill_value=0)
    counts = counts.reindex(columns=range(len(edges)), fill_value=0).astype(np.int64)
    counts.columns = pd.Index(_labels(edges), name="rank")
    long = counts.melt(value_name="count", ignore_index=False).reset_index().sort_values("step", kind="stable")
    long = long.reset_index(drop=True)
    long.insert(2, "share", long["count"] / long.groupby("step")["count"].transform("sum"))
    return long


def proposal_against_commit(tokens: pd.DataFrame, *, bins: int = 10) -> pd.DataFrame:
    """How often the likeliest token was committed, against how likely it was.

    One untempered draw at the committed position would take the likeliest token with its probability: at temperature
    1 a select-then-sample order therefore lies on `committed` = `top_prob` up to chance, and an order that proposes
    everywhere and commits the most probable proposal lies above, the more the more it filters. Below temperature 1
    every order lies above, so compare orders at equal temperature only.

    Args:
        tokens: token rows.
        bins: ranges of equal width of the likeliest token's probability.

    Returns:
        One row a range that has tokens: low, high (its ends), count (text tokens), top_prob (mean probability of the
        likeliest token), committed (share of the tokens that were the likeliest), prob (mean probability of the
        committed token). All but count are fractions.

    Raises:
        InputError: bins below 1.
    """
    if bins < 1:
        raise InputError(f"bins must be at least 1, not {bins}")
    text = tokens[tokens["in_text"]]
    top_prob = text["top_prob"].astype(np.float64)
    range_R = (top_prob * bins).astype(np.int64).clip(upper=bins - 1)
    facts = pd.DataFrame(
        {"top_prob": top_prob, "committed": text["rank"] == 0, "prob": text["prob"].astype(np.float64)}
    )
    table = facts.groupby(range_R).mean()
    table.insert(0, "count", facts.groupby(range_R).size())
    table.insert(0, "high", (table.index + 1) / bins)
    table.insert(0, "low", table.index / bins)
    return table.reset_index(drop=True)


def count_cells(tokens: Rows, places: Callable[[pd.DataFrame], Mapping[str, ArrayLike]]) -> pd.DataFrame:
    """How many text tokens are in each cell that has any.

    Args:
        tokens: token rows; a frame or parts.
        places: text tokens -> where each stands, two whole numbers from 0 on, by name.

    Returns:
        The two numbers, sorted, and count.
    """
    tables = []
    for part in parts_of(tokens):
        named = places(part[part["in_text"]])
        x, y = (np.asarray(values, dtype=np.int64) for values in named.values())
        width = int(y.max(initial=0)) + 1
        counts = np.bincount(x * width + y)
        held = np.flatnonzero(counts)
        tables.append(pd.DataFrame(dict(zip(named, divmod(held, width), strict=True)) | {"count": counts[held]}))
    cells = pd.concat(tables, ignore_index=True)
    return cells.groupby(list(cells.columns[:2]))["count"].sum().reset_index()


def binned(values: NDArray[np.integer], bins: int | None) -> NDArray[np.int64]:
    """The first value of each value's range, of `bins` ranges of equal width from 0 on; itself for None.

    Raises:
        InputError: bins below 1.
    """
    whole = np.asarray(values, dtype=np.int64)
    if bins is None:
        return whole
    if bins < 1:
        raise InputError(f"bins must be at least 1, not {bins}")
    width = -(-(int(whole.max(initial=0)) + 1) // bins)
    return whole // width * width


def _labels(edges: Sequence[int]) -> list[str]:
    ends = [*(edge - 1 for edge in edges[1:]), None]
    return [
        f"{first}+" if last is None else f"{first}" if first == last else f"{first}-{last}"
        for first, last in zip(edges, ends, strict=True)
    ]
