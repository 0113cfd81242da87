"""The sections on graded answers: Pass@k, and which problems an order solves."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from flexeval.errors import InputError
from flexeval.report.page import Part, Section, Table, bounds, percent
from flexeval.report.task_runs import TaskRuns
from flexeval.runs.store import alike, fewest_samples
from flexeval.stats.bootstrap import interval
from flexeval.stats.coverage import coverage
from flexeval.stats.curves import comparison
from flexeval.stats.intervals import p_value_text
from flexeval.stats.pass_at_k import default_ks, pass_at_k_table

_VERDICTS = (
    "Brackets are bands: each covers all differences of the table at once with 95 % confidence, and verdicts follow "
    "it. p is from the exact test of the problems that differ, for each k by itself; where k is the number of samples, "
    "that is McNemar's test. Where p is above 0.05, the difference is unresolved."
)


def pass_at_k_section(groups: Sequence[TaskRuns], figures: Sequence[Part]) -> Section:
    """Pass@k of each run, and its difference to the first run of the task."""
    counted = dict.fromkeys(run.counted for group in groups for run in group.runs)
    return Section(
        name="pass-at-k",
        title="Pass@k",
        about=f"The chance that at least one of k samples of a problem is {' or '.join(counted)}, by the unbiased "
        "estimator, in percent, with 95 % intervals over problems.",
        parts=figures,
        tasks=[(group.task, [*_pass_table(group), *_difference_table(group)]) for group in groups],
    )


def coverage_section(groups: Sequence[TaskRuns], figures: Sequence[Part]) -> Section:
    """Problems by which run solves them, each run against the first of its task."""
    return Section(
        name="coverage",
        title="Coverage",
        about="Which problems an order solves at least once in all its samples. p is from McNemar's exact test: are "
        "the problems that only one order solves split evenly between the two?",
        parts=figures,
        tasks=[(group.task, _coverage(group)) for group in groups],
    )


def _pass_table(group: TaskRuns) -> list[Part]:
    usable = [(label, run) for label, run in group.named if fewest_samples(run) > 0]
    parts: list[Part] = [
        f"No Pass@k of {label}: it has problems without a sample yet."
        for label, run in group.named
        if fewest_samples(run) == 0
    ]
    if usable:
        ks = default_ks(max(fewest_samples(run) for _, run in usable))
        rows = []
        for label, run in usable:
            at = interval(pass_at_k_table(run.counts(), [k for k in ks if k <= fewest_samples(run)]))
            rows.append([label, str(len(run.problems)), *(percent(at[k]) if k in at else "–" for k in ks)])
        parts.append(Table(columns=["", "problems", *(f"pass@{k}" for k in ks)], rows=rows, caption="Pass@k, %"))
    return parts


def _difference_table(group: TaskRuns) -> list[Part]:
    """Each run minus the first, on the problems and samples that both have."""
    (first_label, first), *others = group.named
    ks, rows = default_ks(max((fewest_samples(run) for _, run in others), default=1)), []
    reasons: list[Part] = []
    for label, run in others:
        try:
            one, base = alike(run, first)
            tables = [pass_at_k_table(each.counts(), default_ks(fewest_samples(one))) for each in (one, base)]
            at = comparison(*tables, largest=1.0, family=len(others)).set_index("k").to_dict("index")
        except InputError as error:
            reasons.append(f"{label} minus {first_label}: not available: {error}.")
            continue
        cells = (_difference(at[k]) if k in at else "–" for k in ks)
        rows.append([label, str(len(one.problems)), *cells])
    if not rows:
        return reasons
    caption = f"Difference to {first_label}, percentage points, paired by problem"
    return [
        Table(columns=["", "problems", *(f"pass@{k}" for k in ks)], rows=rows, caption=caption),
        _VERDICTS,
        *reasons,
    ]


def _difference(row: dict[Hashable, Any]) -> str:
    band = bounds(100 * row["difference"], 100 * row["band_low"], 100 * row["band_high"], "+.1f")
    return f"{band} {row['verdict']}, p {p_value_text(row['p_value'])}"


def _coverage(group: TaskRuns) -> list[Part]:
    (first_label, first), *others = group.named
    if not others:
        return ["Not available: coverage compares two runs of a task, and there is only one."]
    rows = []
    reasons: list[Part] = []
    for label, run in others:
        try:
            found = coverage(*(each.counts() for each in alike(first, run)))
        except InputError as error:
            reasons.append(f"{first_label} against {label}: not available: {error}.")
            continue
        numbers = (found.a_only, found.b_only, found.both, found.neither)
        rows.append([f"{first_label} (A), {label} (B)", *map(str, numbers), str(found.n), p_value_text(found.p_value)])
    columns = ["orders", "only A", "only B", "both", "neither", "n", "p"]
    return [*([Table(columns=columns, rows=rows, caption="Problems solved at n samples")] if rows else []), *reasons]
