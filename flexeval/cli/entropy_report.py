"""Entropies of several runs as tables for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from flexeval.cli import stored
from flexeval.cli.units import with_units
from flexeval.runs.store import RunSet
from flexeval.stats.entropy import (
    ALL_CONNECTORS,
    ALL_TOKENS,
    QUANTITIES,
    connector_entropy,
    entropy_difference,
    highest_entropy_words,
)
from flexeval.stats.intervals import Difference, interval_text
from flexeval.stats.pooled import problem_ids
from flexeval.stats.verdict import holm, side
from flexeval.stats.words import find_words

_CALLED = {
    "entropy": "at commit",
    "eligible_entropy": "when eligible",
    "frontier_entropy": "at the frontier",
    "closure": "closure",
    "ar_entropy": "AR counterfactual",
    "ar_gap": "AR counterfactual − at commit",
}


_ESTIMATE = ["estimate", "low", "high"]


@dataclass(frozen=True, kw_only=True)
class EntropyReport:
    """What is shown of some runs."""

    entropy: pd.DataFrame
    """run, group, quantity, estimate, low, high, count, problems."""
    differences: pd.DataFrame
    """first, second, group, difference, low, high, p_value, verdict: of the entropy at commit, to the first run; p by
    Holm's step-down over the rows, and verdicts by p. Empty where the runs are not on the same problems."""
    words: pd.DataFrame
    """run, and the columns of `highest_entropy_words`."""


def make(runs: RunSet, tokens: Sequence[pd.DataFrame], *, top: int, min_count: int) -> EntropyReport:
    """Compute the tables.

    Args:
        runs: to compare; differences are to the first.
        tokens: the token rows of each.
        top: words of highest entropy.
        min_count: occurrences that such a word needs.
    """
    labels = runs.labels()
    words = [find_words(rows) for rows in tokens]
    both = list(zip(labels, tokens, words, strict=True))
    entropy = [stored.named(label, connector_entropy(rows, found)) for label, rows, found in both]
    highest = [
        stored.named(label, highest_entropy_words(found, rows, top=top, min_count=min_count))
        for label, rows, found in both
    ]
    return EntropyReport(
        entropy=pd.concat(entropy, ignore_index=True),
        differences=_differences(labels, tokens, words),
        words=pd.concat(highest, ignore_index=True),
    )


def show(console: Console, runs: RunSet, report: EntropyReport) -> None:
    """Print the tables and, below them, what they are about."""
    labels = runs.labels()
    at_commit = report.entropy[report.entropy["quantity"] == "entropy"]
    console.print("Entropy at commit in nats: mean over occurrences, with 95 % intervals over problems", soft_wrap=True)
    console.print(_side_by_side(at_commit, "group", labels))
    for group in (ALL_TOKENS, ALL_CONNECTORS):
        of_group = report.entropy[report.entropy["group"] == group]
        known = [quantity for quantity in QUANTITIES if of_group.loc[of_group["quantity"] == quantity, "count"].any()]
        table = of_group[of_group["quantity"].isin(known)].replace({"quantity": _CALLED})
        console.print(f"{group.capitalize()}: entropy in nats", soft_wrap=True)
        console.print(_side_by_side(table, "quantity", labels))
    if len(report.differences):
        console.print(f"Entropy at commit, difference to {labels[0]}, paired by problem", soft_wrap=True)
        console.print(_difference_table(report.differences))
        console.print("p is by Holm's step-down over these rows; above 0.05 nothing is resolved", soft_wrap=True)
    elif len(labels) > 1:
        console.print("The runs are not on the same problems, so their differences are left out", soft_wrap=True)
    console.print("Words of the highest entropy at commit; the ratio is to the average token", soft_wrap=True)
    console.print(_word_table(report.words))
    for line in stored.introduction(labels, runs):
        console.print(line, soft_wrap=True)


def as_json(runs: RunSet, report: EntropyReport) -> dict[str, Any]:
    """All of it as JSON values."""
    return {
        "runs": stored.about(runs.labels(), runs),
        "entropy": stored.records(entropy_rows(report)),
        "differences": stored.records(with_units(report.differences, nats=["difference", "low", "high"])),
        "highest_entropy_words": stored.records(with_units(report.words, nats=_ESTIMATE)),
    }


def entropy_rows(report: EntropyReport) -> pd.DataFrame:
    """The entropies as they are written to files."""
    return with_units(report.entropy, nats=_ESTIMATE)


def _differences(labels: Sequence[str], tokens: Sequence[pd.DataFrame], words: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """With verdicts by Holm's step-down over all rows."""
    columns = ["first", "second", "group", "difference", "low", "high", "p_value", "verdict"]
    problems = problem_ids(tokens[0]["problem_id"])
    if any(len(problems.symmetric_difference(problem_ids(rows["problem_id"]))) for rows in tokens[1:]):
        return pd.DataFrame(columns=columns)
    found: list[tuple[str, str, Difference]] = []
    for label, mine, my_words in list(zip(labels, tokens, words, strict=True))[1:]:
        pairs = {
            ALL_TOKENS: (mine, tokens[0]),
            ALL_CONNECTORS: tuple(each[each["connector"]] for each in (my_words, words[0])),
        }
        for group, (first, second) in pairs.items():
            if len(first) and len(second):
                at_commit = entropy_difference(first, second, quantities=["entropy"])["entropy"]
                found.append((label, group, at_commit))
    p_values = holm([at.p_value(0) for *_, at in found])
    rows = [
        (label, labels[0], group, at.estimate, at.low, at.high, p, side(at.low, at.high, p, level=at.level))
        for (label, group, at), p in zip(found, p_values, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


# ----- tables -----


def _side_by_side(rows: pd.DataFrame, by: str, labels: Sequence[str]) -> Table:
    """One row a value of `by`, one column a run."""
    table = Table()
    table.add_column("")
    for label in labels:
        table.add_column(label, justify="right")
    cells = {(row["run"], row[by]): _estimate(row) for row in rows.to_dict("records")}
    for name in dict.fromkeys(rows[by]):
        table.add_row(name, *(cells.get((label, name), "-") for label in labels))
    return table


def _difference_table(differences: pd.DataFrame) -> Table:
    table = Table("", "", "difference, nats", "p", "verdict")
    for row in differences.to_dict("records"):
        bounds = interval_text(row["difference"], row["low"], row["high"], "+.3f")
        table.add_row(
            f"{row['first']} − {row['second']}", row["group"], bounds, stored.p_value(row["p_value"]), row["verdict"]
        )
    return table


def _word_table(words: pd.DataFrame) -> Table:
    table = Table("run", "rank", "word", "connector", "entropy, nats", "count", "ratio")
    for row in words.to_dict("records"):
        connector = "yes" if row["connector"] else ""
        cells = (str(row["rank"]), row["word"], connector, _estimate(row), str(row["count"]), f"{row['ratio']:.2f}")
        table.add_row(row["run"], *cells)
    return table


def _estimate(row: dict[Any, Any]) -> str:
    if not row["count"]:
        return "-"
    return interval_text(row["estimate"], row["low"], row["high"], ".3f")
