"""The sections on which answers an order reaches: Pass@k, and who solves what."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from flexeval.errors import InputError
from flexeval.report.groups import TaskRuns, bounds, p_value, percent, under_tasks
from flexeval.report.markup import Markup, element, join, note, table
from flexeval.report.page import Section
from flexeval.runs.store import alike, fewest_samples
from flexeval.stats.bootstrap import interval
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import comparison
from flexeval.stats.pass_at_k import default_ks, pass_at_k_table

_JUDGED = (
    "Brackets are bands that hold all differences of the table at once with 95 %, and verdicts are of the band. p is "
    "of the exact test of the problems that differ, each k by itself; where k is the number of samples it is "
    "McNemar's. Above 0.05 nothing is resolved."
)


def pass_at_k_section(groups: Sequence[TaskRuns], figures: Markup) -> Section:
    """Pass@k of each run, and its difference to the first run of the task."""
    about = element(
        "p",
        "The chance that at least one of k samples of a problem is correct, by the unbiased estimator, in percent, "
        "with 95 % intervals over problems.",
    )
    body = under_tasks([(group.task, join([_pass_table(group), _difference_table(group)])) for group in groups])
    return Section(name="pass-at-k", title="Pass@k", body=join([about, figures, body]))


def coverage_section(groups: Sequence[TaskRuns], figures: Markup) -> Section:
    """Problems by who solves them, each run against the first of its task."""
    about = element(
        "p",
        "Which problems an order solves at least once in all its samples. p is of the exact McNemar test: are the "
        "problems that one order alone solves a fair split?",
    )
    body = under_tasks([(group.task, _coverage(group)) for group in groups])
    return Section(name="coverage", title="Coverage", body=join([about, figures, body]))


def _pass_table(group: TaskRuns) -> Markup:
    usable = [(label, run) for label, run in group.named if fewest_samples(run) > 0]
    lacking = [label for label, run in group.named if fewest_samples(run) == 0]
    parts = [note(f"No Pass@k of {label}: it has problems without a sample yet.") for label in lacking]
    if usable:
        ks = default_ks(max(fewest_samples(run) for _, run in usable))
        rows = []
        for label, run in usable:
            at = interval(pass_at_k_table(run.counts(), [k for k in ks if k <= fewest_samples(run)]))
            rows.append([label, str(len(run.problems)), *(percent(at[k]) if k in at else "–" for k in ks)])
        parts.append(table(["", "problems", *(f"pass@{k}" for k in ks)], rows, caption="Pass@k, %"))
    return join(parts)


def _difference_table(group: TaskRuns) -> Markup:
    """Each run minus the first, on the problems and samples that both have."""
    (first_label, first), *others = group.named
    ks, rows, reasons = default_ks(max((fewest_samples(run) for _, run in others), default=1)), [], []
    for label, run in others:
        try:
            one, base = alike(run, first)
            tables = [pass_at_k_table(each.counts(), default_ks(fewest_samples(one))) for each in (one, base)]
            at = comparison(*tables, largest=1.0, family=len(others)).set_index("k").to_dict("index")
        except InputError as error:
            reasons.append(note(f"{label} minus {first_label}: not available: {error}."))
            continue
        cells = (_judged(at[k]) if k in at else "–" for k in ks)
        rows.append([label, str(len(one.problems)), *cells])
    caption = f"Difference to {first_label}, percentage points, paired by problem"
    shown = table(["", "problems", *(f"pass@{k}" for k in ks)], rows, caption=caption) if rows else Markup("")
    return join([shown, note(_JUDGED) if rows else Markup(""), *reasons])


def _judged(row: dict[Hashable, Any]) -> str:
    band = bounds(100 * row["difference"], 100 * row["band_low"], 100 * row["band_high"], "+.1f")
    return f"{band} {row['verdict']}, p {p_value(row['p_value'])}"


def _coverage(group: TaskRuns) -> Markup:
    (first_label, first), *others = group.named
    if not others:
        return note("Not available: coverage compares two runs of a task, and here is one.")
    rows, reasons = [], []
    for label, run in others:
        try:
            found = coverage(*(each.counts() for each in alike(first, run)))
        except InputError as error:
            reasons.append(note(f"{first_label} against {label}: not available: {error}."))
            continue
        numbers = (found.a_only, found.b_only, found.both, found.neither)
        rows.append([f"{first_label} (A), {label} (B)", *map(str, numbers), str(found.n), p_value(found.p_value)])
    columns = ["orders", "only A", "only B", "both", "neither", "n", "p"]
    return join([table(columns, rows, caption="Problems solved at n samples") if rows else Markup(""), *reasons])
