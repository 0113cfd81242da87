"""What the page says first: for each task, what its two main orders solve with one sample and with all of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from flexeval.errors import InputError
from flexeval.records import CORRECT
from flexeval.report.links import main_pair
from flexeval.report.page import bounds
from flexeval.report.task_runs import TaskRuns
from flexeval.runs.store import Run, alike, fewest_samples
from flexeval.stats.curves import comparison
from flexeval.stats.pass_at_k import default_ks, pass_at_k_table


def headline(groups: Sequence[TaskRuns]) -> list[str]:
    """One sentence for each task that has two orders to compare and samples of every problem."""
    return [sentence for group in groups if (sentence := _sentence(group)) is not None]


def _sentence(group: TaskRuns) -> str | None:
    pair = main_pair(group)
    if pair is None:
        return None
    try:
        base, other = alike(*(group.runs[place] for place in pair))
        tables = [pass_at_k_table(run.counts(), default_ks(fewest_samples(base))) for run in (other, base)]
        rows = comparison(*tables, largest=1.0).to_dict("records")
    except InputError:
        return None  # too few samples; the section on Pass@k says so
    first, *rest = rows
    clauses = [_clause(first, other, base, f"% of the {len(base.problems)} problems")]
    clauses += [_clause(rest[-1], other, base, "%")] if rest else []
    counted = "" if base.counted == CORRECT else f" (by the verdict {base.counted})"
    return f"{group.task}, temperature {base.config.sampling.temperature:g}{counted}: {'; '.join(clauses)}."


def _clause(row: dict[Hashable, Any], other: Run, base: Run, unit: str) -> str:
    """Who solves how much at a k, and the difference."""
    difference = bounds(100 * row["difference"], 100 * row["band_low"], 100 * row["band_high"], "+.1f")
    solved = (
        f"at k = {row['k']}, {other.config.order} solves {100 * row['a']:.1f} {unit} "
        f"and {base.config.order} {100 * row['b']:.1f} %"
    )
    unresolved = ", unresolved" if row["verdict"] == "unresolved" else ""
    return f"{solved} (difference {difference} points{unresolved})"
