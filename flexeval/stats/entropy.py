"""Entropy of tokens and of words: at commit, when they became eligible, and when they were the frontier.

All in nats, of the untempered softmax, never below 0. Means are over occurrences, intervals by problem
(`flexeval.stats.pooled`). It knows rows of measurements, not how they came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.stats.bootstrap import DEFAULT, Bootstrap
from flexeval.stats.intervals import Difference
from flexeval.stats.pooled import Pooled, pool, pooled_difference, problem_ids, same_problems
from flexeval.stats.words import frequent, mostly_connector

QUANTITIES = ("entropy", "eligible_entropy", "frontier_entropy", "closure", "ar_entropy", "ar_gap")
"""What can be averaged:

- `entropy`: at commit;
- `eligible_entropy`: when the position became eligible, known if the order needed the model there;
- `frontier_entropy`: when the position became the frontier, known if it ever did;
- `closure`: `frontier_entropy` - `entropy`, the entropy lost between the two;
- `ar_entropy`: the AR counterfactual, given the tokens before it and masks after it
  (`flexeval.runs.counterfactual`), where the rows have it;
- `ar_gap`: `ar_entropy` - `entropy`, the entropy that the token lost because later ones were committed first.
"""
ALL_TOKENS, ALL_CONNECTORS, OTHER_WORDS = "all tokens", "connectors", "other words"


def entropy_table(
    rows: pd.DataFrame,
    *,
    by: str | None = None,
    quantities: Sequence[str] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Mean entropies of some rows, or of each group of them.

    Args:
        rows: token rows (those after the end of a text are left out) or words.
        by: a column to group by, as `word` or `connector`; None for all rows together.
        quantities: which of `QUANTITIES`; None for all that the rows hold.
        bootstrap: level, replicates and seed.

    Returns:
        One row a group and quantity: the group under the name `by` (none when `by` is None), quantity, estimate, low,
        high, count (occurrences with a value), problems (with an occurrence). NaN where there is no value.

    Raises:
        InputError: an unknown quantity or column, or no problem at all.
    """
    rows = _text(rows)
    names, group_N = _groups(rows, by)
    wanted = _wanted(quantities, rows)
    pooled = _pooled(rows, wanted, problem_ids(rows["problem_id"]), group_N, len(names))
    table = _table(names, wanted, pooled, bootstrap=bootstrap)
    return table.drop(columns="group") if by is None else table.rename(columns={"group": by})


def connector_entropy(
    tokens: pd.DataFrame,
    words: pd.DataFrame,
    *,
    quantities: Sequence[str] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Entropy of all text tokens, of all connectors, of all other words, and of each connector that occurs.

    The paper's figure 7: its dashed line is the row of all tokens.

    Args:
        tokens: token rows.
        words: the words of the same rows.
        quantities, bootstrap: as `entropy_table`.

    Returns:
        As `entropy_table` with the group under `group`: "all tokens", "connectors", "other words", then the
        connectors by falling count.
    """
    text, wanted = _text(tokens), _wanted(quantities, words)
    problems = problem_ids(tokens["problem_id"])
    connectors = words[words["connector"]]
    by_count = connectors["word"].value_counts()
    each = pd.Index(by_count.index[by_count > 0].astype(object))
    pooled = Pooled.side_by_side(
        [
            _pooled(text, wanted, problems),
            _pooled(words, wanted, problems, np.where(words["connector"], 0, 1), 2),
            _pooled(connectors, wanted, problems, each.get_indexer(connectors["word"]), len(each)),
        ]
    )
    names = pd.Index([ALL_TOKENS, ALL_CONNECTORS, OTHER_WORDS, *each])
    return _table(names, wanted, pooled, bootstrap=bootstrap)


def entropy_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    quantities: Sequence[str] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> dict[str, Difference]:
    """Mean entropies of the first rows minus those of the second, paired by problem; by quantity.

    Args:
        first: token rows or words of one run.
        second: those of another run on the same problems.
        quantities: which of `QUANTITIES`; None for all that both hold.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: other problems, an unknown quantity, or one without a value on either side.
    """
    first, second = _text(first), _text(second)
    problems = same_problems(first["problem_id"], second["problem_id"])
    held = [name for name in _wanted(None, first) if name in _wanted(None, second)]
    differences = {}
    for quantity in held if quantities is None else _wanted(quantities, first):
        mine, theirs = (
            pool(_values(rows, quantity), rows["problem_id"], problems=problems) for rows in (first, second)
        )
        differences[quantity] = pooled_difference(mine, theirs, bootstrap=bootstrap)
    return differences


def highest_entropy_words(
    words: pd.DataFrame,
    tokens: pd.DataFrame,
    *,
    top: int = 20,
    min_count: int = 20,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """The words with the highest mean entropy at commit.

    Args:
        words: of the texts.
        tokens: their token rows, for the mean over all tokens.
        top: how many words at most.
        min_count: words with fewer occurrences are left out.
        bootstrap: level, replicates and seed.

    Returns:
        rank (from 1), word, connector (whether most of its occurrences are), estimate, low, high, count, problems,
        and ratio: the estimate over the mean of all text tokens.
    """
    kept = frequent(words, min_count)
    mean_entropy = kept.groupby("word", observed=True)["entropy"].mean()
    highest = mean_entropy.sort_values(ascending=False, kind="stable").index[:top]
    kept = kept[kept["word"].isin(highest)]
    kept = kept.assign(word=kept["word"].astype(pd.CategoricalDtype(list(highest))))
    table = entropy_table(kept, by="word", quantities=["entropy"], bootstrap=bootstrap).drop(columns="quantity")
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    table.insert(2, "connector", mostly_connector(table["word"], kept))
    table["ratio"] = table["estimate"] / _text(tokens)["entropy"].mean()
    return table


def _text(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["in_text"]] if "in_text" in rows else rows


def _wanted(quantities: Sequence[str] | None, rows: pd.DataFrame) -> list[str]:
    """The quantities asked for, or all that the columns give."""
    needs = {"closure": ["frontier_entropy", "entropy"], "ar_gap": ["ar_entropy", "entropy"]}
    held = [name for name in QUANTITIES if set(needs.get(name, [name])) <= set(rows.columns)]
    for name in quantities or ():
        if name not in held:
            raise InputError(f"these rows have no {name!r}; they have {', '.join(held)}")
    return held if quantities is None else list(quantities)


def _values(rows: pd.DataFrame, quantity: str) -> NDArray[np.float64]:
    def column(name: str) -> NDArray[np.float64]:
        return rows[name].to_numpy(dtype=np.float64)

    if quantity == "closure":
        return column("frontier_entropy") - column("entropy")
    if quantity == "ar_gap":
        return column("ar_entropy") - column("entropy")
    return column(quantity)


def _groups(rows: pd.DataFrame, by: str | None) -> tuple[pd.Index, NDArray[np.int64] | None]:
    """(names of the groups, which one each row is in)."""
    if by is None:
        return pd.Index([ALL_TOKENS]), None
    if by not in rows:
        raise InputError(f"these rows have no column {by!r} to group by; they have {', '.join(rows.columns)}")
    groups = rows[by].astype("category").cat.remove_unused_categories()
    return groups.cat.categories.astype(object), groups.cat.codes.to_numpy().astype(np.int64)


def _pooled(
    rows: pd.DataFrame,
    quantities: Sequence[str],
    problems: pd.Index,
    group_N: NDArray[np.integer[Any]] | None = None,
    groups: int = 1,
) -> Pooled:
    """Group by group, and within a group quantity by quantity."""
    parts = [
        pool(_values(rows, quantity), rows["problem_id"], group_N=group_N, groups=groups, problems=problems)
        for quantity in quantities
    ]
    together = Pooled.side_by_side(parts)
    order_K = np.arange(groups * len(quantities)).reshape(len(quantities), groups).T.ravel()
    return Pooled(sums_PK=together.sums_PK[:, order_K], counts_PK=together.counts_PK[:, order_K])


def _table(names: pd.Index, quantities: Sequence[str], pooled: Pooled, *, bootstrap: Bootstrap) -> pd.DataFrame:
    low_K, high_K = pooled.intervals(bootstrap=bootstrap)
    return pd.DataFrame(
        {
            "group": np.repeat(names.to_numpy(dtype=object), len(quantities)),
            "quantity": np.tile(np.array(quantities, dtype=object), len(names)),
            "estimate": pooled.estimates_K,
            "low": low_K,
            "high": high_K,
            "count": pooled.counts_PK.sum(axis=0).astype(np.int64),
            "problems": pooled.problems_K,
        }
    )
