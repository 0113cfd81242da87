"""The section on the order itself: how nearly from left to right, how alike between samples, how it picks tokens."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from flexeval.report.groups import TaskRuns, percent, under_tasks
from flexeval.report.markup import Markup, element, join, note, table
from flexeval.report.page import Section
from flexeval.runs.store import Run
from flexeval.stats.bootstrap import interval
from flexeval.stats.order import global_ar_ness, local_ar_ness, order_distance
from flexeval.stats.ranks import non_top_rate, proposal_against_commit

SAMPLES = 16
"""Of each problem, at most: the work of comparing orders grows with the square."""
KS = (1, 4)
"""Of AR-ness."""
BINS = 5
"""Ranges of the likeliest token's probability."""
_READ = ["problem_id", "sample_index", "position", "in_text", "commit_step", "rank", "prob", "top_prob"]


def order_section(groups: Sequence[TaskRuns]) -> Section:
    """AR-ness, order distance, and what was committed against what was likeliest."""
    about = element(
        "p",
        "Local AR-ness@k is the share of runs of k commits that go on right where the one before was; global AR-ness@k "
        "the share of commits at one of the k leftmost masks; both are 100 % for AR. Order distance compares the "
        "commit steps of two samples of a problem: 0 for the same order, 50 % for two random ones, 100 % for reversed "
        "ones. A token is non-top when another one was likelier, untempered. Means with 95 % intervals over problems.",
    )
    body = under_tasks([(group.task, _task(group)) for group in groups])
    return Section(name="order", title="Order", body=join([about, body]))


def _task(group: TaskRuns) -> Markup:
    measures, likeliest, empty = [], [], []
    for label, run in group.named:
        tokens = _first_samples(run)
        if tokens["in_text"].any():
            measures.append([label, *_measures(tokens)])
            likeliest.append([label, *_likeliest(tokens)])
        else:
            empty.append(note(f"{label}: This run has no text to measure yet."))
    if not measures:
        return join(empty)
    columns = ["run", *(f"local @{k}" for k in KS), *(f"global @{k}" for k in KS), "order distance", "non-top tokens"]
    ranges = [f"{100 * i // BINS}–{100 * (i + 1) // BINS} %" for i in range(BINS)]
    caption = (
        "Tokens that were the likeliest when they were committed, %, by the probability of the likeliest token; in "
        "brackets its mean, %, which is what one untempered draw at the position would give"
    )
    return join(
        [
            table(columns, measures, caption=f"AR-ness, order distance, non-top tokens, %; {_extent(group)}"),
            table(["run", *ranges], likeliest, caption=caption),
            *empty,
        ]
    )


def _extent(group: TaskRuns) -> str:
    most = max(run.config.num_samples for run in group.runs)
    return f"first {SAMPLES} samples of a problem" if most > SAMPLES else "all samples"


def _first_samples(run: Run) -> pd.DataFrame:
    return run.part(num_samples=SAMPLES, limit=run.config.limit).tokens(_READ)


def _measures(tokens: pd.DataFrame) -> list[str]:
    ar_ness = [local_ar_ness(tokens, ks=KS), global_ar_ness(tokens, ks=KS)]
    columns = [by_problem[[k]] for by_problem in ar_ness for k in KS]
    columns.append(order_distance(tokens).set_index("problem_id")[["distance"]])
    return [*map(_mean, columns), percent(non_top_rate(tokens))]


def _mean(column: pd.DataFrame) -> str:
    """Over the problems that have a value."""
    known = column.dropna()
    if known.empty:
        return "–"
    (found,) = interval(known).values()
    return percent(found)


def _likeliest(tokens: pd.DataFrame) -> list[str]:
    """A cell a range of probabilities."""
    found = {
        round(BINS * row["low"]): f"{100 * row['committed']:.1f} ({100 * row['top_prob']:.1f})"
        for row in proposal_against_commit(tokens, bins=BINS).to_dict("records")
    }
    return [found.get(i, "–") for i in range(BINS)]
