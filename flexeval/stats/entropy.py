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
from flexeval.stats.parts import Groups, Rows, first_part
from flexeval.stats.pooled import (
    Pooled,
    pool,
    pool_parts,
    pooled_difference,
    problem_codes,
    problem_ids,
    same_problems,
)
from flexeval.stats.words import word_sums

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
    rows: Rows,
    *,
    by: str | None = None,
    quantities: Sequence[str] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Mean entropies of some rows, or of each group of them.

    Args:
        rows: token rows (those after the end of a text are left out) or words; a frame or parts.
        by: a column to group by, as `word` or `connector`; None for all rows together.
        quantities: which of `QUANTITIES`; None for all that the rows hold.
        bootstrap: level, replicates and seed.

    Returns:
        One row a group and quantity: the group under the name `by` (none when `by` is None), quantity, estimate, low,
        high, count (occurrences with a value), problems (with an occurrence). NaN where there is no value. Groups are
        sorted; those of a column of categories come as they first occur.

    Raises:
        InputError: an unknown quantity or column, no quantity, or no problem at all.
    """
    wanted = _wanted(quantities, first_part(rows))
    if by is None:
        pooled = pooled_entropy(rows, problem_ids(first_part(rows)["problem_id"]), quantities=wanted)
        return _table(pd.Index([ALL_TOKENS]), wanted, pooled, bootstrap=bootstrap).drop(columns="group")
    names, pooled = _by_group(rows, by, wanted)
    return _table(names, wanted, pooled, bootstrap=bootstrap).rename(columns={"group": by})


def connector_entropy(
    tokens: Rows,
    words: Rows,
    *,
    quantities: Sequence[str] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """Entropy of all text tokens, of all connectors, of all other words, and of each connector that occurs.

    The paper's figure 7: its dashed line is the row of all tokens.

    Args:
        tokens: token rows; a frame or parts.
        words: the words of the same rows; likewise.
        quantities, bootstrap: as `entropy_table`.

    Returns:
        As `entropy_table` with the group under `group`: "all tokens", "connectors", "other words", then the
        connectors by falling count.
    """
    first = first_part(tokens)
    wanted, problems = _wanted(quantities, first), problem_ids(first["problem_id"])
    each = Groups()
    occurrences: dict[int, int] = {}

    def measure(part: pd.DataFrame) -> Pooled:
        # Connectors, other words, then each connector by itself.
        connector_N = part["connector"].to_numpy()
        kinds = _pooled(part, _wanted(wanted, part), problems, np.where(connector_N, 0, 1), 2)
        own = part[connector_N]
        number_N = each.numbers(own["word"], problem_codes(own["problem_id"], problems))
        for number, count in enumerate(np.bincount(number_N, minlength=len(each)).tolist()):
            occurrences[number] = occurrences.get(number, 0) + count
        return Pooled.side_by_side([kinds, _pooled(own, wanted, problems, number_N, len(each))])

    all_tokens = pooled_entropy(tokens, problems, quantities=wanted)
    of_words = pool_parts(words, measure)
    names, order_K = each.names()
    falling = np.argsort([-occurrences[number] for number in order_K.tolist()], kind="stable")
    groups_K = np.concatenate([[0, 1], 2 + order_K[falling]]).astype(np.intp)
    columns_K = (groups_K[:, None] * len(wanted) + np.arange(len(wanted))).ravel()
    pooled = Pooled.side_by_side([all_tokens, of_words.groups(columns_K)])
    return _table(
        pd.Index([ALL_TOKENS, ALL_CONNECTORS, OTHER_WORDS, *names[falling]]), wanted, pooled, bootstrap=bootstrap
    )


def entropy_difference(
    first: Rows,
    second: Rows,
    *,
    quantities: Sequence[str] | None = None,
    bootstrap: Bootstrap = DEFAULT,
) -> dict[str, Difference]:
    """Mean entropies of the first rows minus those of the second, paired by problem; by quantity.

    Args:
        first: token rows or words of one run; a frame or parts.
        second: those of another run on the same problems; likewise.
        quantities: which of `QUANTITIES`; None for all that both hold.
        bootstrap: level, replicates and seed.

    Returns:
        NaN, bounds included, for a quantity without a value on one of the sides.

    Raises:
        InputError: other problems, an unknown quantity, or no quantity.
    """
    one, other = first_part(first), first_part(second)
    problems = same_problems(one["problem_id"], other["problem_id"])
    held = [name for name in _wanted(None, one) if name in _wanted(None, other)]
    wanted = held if quantities is None else _wanted(quantities, one)
    mine, theirs = (pooled_entropy(rows, problems, quantities=wanted) for rows in (first, second))
    return {
        quantity: pooled_difference(mine.groups([place]), theirs.groups([place]), bootstrap=bootstrap)
        for place, quantity in enumerate(wanted)
    }


def pooled_entropy(rows: Rows, problems: pd.Index, *, quantities: Sequence[str] = ("entropy",)) -> Pooled:
    """Sums and counts over text tokens or words, a group for each quantity.

    Args:
        rows: token rows (those after the end of a text are left out) or words; a frame or parts.
        problems: of the sums, in order.
        quantities: which of `QUANTITIES`.

    Raises:
        InputError: an unknown quantity.
    """
    return pool_parts(rows, lambda part: _pooled(_text(part), _wanted(quantities, part), problems))


def highest_entropy_words(
    words: Rows,
    tokens: Rows,
    *,
    top: int = 20,
    min_count: int = 20,
    bootstrap: Bootstrap = DEFAULT,
) -> pd.DataFrame:
    """The words with the highest mean entropy at commit.

    Args:
        words: of the texts; a frame or parts.
        tokens: their token rows, for the mean over all tokens; likewise.
        top: how many words at most.
        min_count: words with fewer occurrences are left out.
        bootstrap: level, replicates and seed.

    Returns:
        rank (from 1), word, connector (whether most of its occurrences are), estimate, low, high, count, problems,
        and ratio: the estimate over the mean of all text tokens.
    """
    sums = word_sums(words, lambda part: {"connectors": part["connector"], "entropy": part["entropy"]})
    sums = sums[sums["occurrences"] >= min_count]
    mean_entropy = sums["entropy"] / sums["occurrences"]
    highest = mean_entropy.sort_values(ascending=False, kind="stable").index[:top]
    problems = problem_ids(first_part(tokens)["problem_id"])

    def of_highest(part: pd.DataFrame) -> Pooled:
        place_N = highest.get_indexer(part["word"].cat.categories)[part["word"].cat.codes.to_numpy()]
        return _pooled(part, ["entropy"], problems, place_N, len(highest))

    pooled = pool_parts(words, of_highest)
    table = _table(highest, ["entropy"], pooled, bootstrap=bootstrap).drop(columns="quantity")
    table = table.rename(columns={"group": "word"})
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    table.insert(2, "connector", (sums["connectors"] / sums["occurrences"] > 0.5)[highest].to_numpy())
    table["ratio"] = table["estimate"] / pooled_entropy(tokens, problems).estimates_K[0]
    return table


def _text(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["in_text"]] if "in_text" in rows and not rows["in_text"].all() else rows


def _wanted(quantities: Sequence[str] | None, rows: pd.DataFrame) -> list[str]:
    """The quantities asked for, or all that the columns give."""
    needs = {"closure": ["frontier_entropy", "entropy"], "ar_gap": ["ar_entropy", "entropy"]}
    held = [name for name in QUANTITIES if set(needs.get(name, [name])) <= set(rows.columns)]
    for name in quantities or ():
        if name not in held:
            raise InputError(f"these rows have no {name!r}; they have {', '.join(held)}")
    if quantities is not None and not len(quantities):
        raise InputError(f"there is no quantity to take the mean of; these rows have {', '.join(held)}")
    return held if quantities is None else list(quantities)


def _values(rows: pd.DataFrame, quantity: str) -> NDArray[np.float64]:
    def column(name: str) -> NDArray[np.float64]:
        return rows[name].to_numpy(dtype=np.float64)

    if quantity == "closure":
        return column("frontier_entropy") - column("entropy")
    if quantity == "ar_gap":
        return column("ar_entropy") - column("entropy")
    return column(quantity)


def _by_group(rows: Rows, by: str, quantities: Sequence[str]) -> tuple[pd.Index, Pooled]:
    """(names of the groups, their sums)."""
    groups = Groups()

    def measure(part: pd.DataFrame) -> Pooled:
        part = _text(part)
        if by not in part:
            raise InputError(f"these rows have no column {by!r} to group by; they have {', '.join(part.columns)}")
        problems = problem_ids(part["problem_id"])
        group_N = groups.numbers(part[by], problem_codes(part["problem_id"], problems))
        return _pooled(part, _wanted(quantities, part), problems, group_N, len(groups))

    pooled = pool_parts(rows, measure)
    names, order_K = groups.names()
    columns_KQ = order_K[:, None] * len(quantities) + np.arange(len(quantities))
    return names, pooled.groups(columns_KQ.ravel())


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
