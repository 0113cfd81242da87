"""Numbers in words, the same way in every claim: what was measured, and what was published in the same setting."""

from __future__ import annotations

from flexeval import published
from flexeval.records import CORRECT
from flexeval.runs.store import Run
from flexeval.stats.intervals import Difference, Interval


def points(interval: Interval) -> str:
    """A difference of fractions, in percentage points."""
    return interval.text("+.1f", scale=100, unit=" points")


def coverage_points(difference: Difference) -> str:
    """A difference of Pass@k at k = n, with the p-value of the exact McNemar test on the problems that one side has."""
    return f"{points(difference)} (McNemar p = {difference.exact_p:.2g})"


def percent(interval: Interval) -> str:
    """A fraction, in percent."""
    return interval.text(scale=100, unit=" %")


def nats(interval: Interval) -> str:
    """A difference of entropies."""
    return interval.text("+.3f", unit=" nats")


def setting(run: Run, *, block: bool = True) -> str:
    """How much was sampled and how."""
    sampling = run.config.sampling
    at_block = f", block {sampling.block} of {sampling.gen_length}" if block else ""
    by = "" if run.counted == CORRECT else f", counted: {run.counted}"
    return f"T = {sampling.temperature:g}{at_block}, {len(run.problems)} problems, n = {run.config.num_samples}{by}"


def published_pass_at_k_gap(first: Run, second: Run, k: int) -> str | None:
    """Published Pass@k of the first run's order minus that of the second's, in points, and its source.

    Returns:
        What differs where nothing was published in their setting, and None where nothing was of their model.
    """
    ours, theirs = (published.pass_at_k(run) for run in (first, second))
    if why := ours.why_none or theirs.why_none:
        return _not_comparable(why)
    both = ours.rows.merge(theirs.rows, on=["source", "k"], suffixes=("_first", "_second"))
    at_k = both[both["k"] == k].to_dict("records")
    if not at_k:
        return _not_comparable(f"none at k = {k}") if len(both) else None
    gap = at_k[0]["pass_at_k_percent_first"] - at_k[0]["pass_at_k_percent_second"]
    return f"{gap:+.1f} points (k = {k}, {at_k[0]['source']})"


def published_coverage(ar: Run, arbitrary: Run) -> str | None:
    """Problems that only arbitrary order, and only AR order, solves, of all problems.

    Returns:
        As `published_pass_at_k_gap`, where there is no such number.
    """
    found = published.coverage(ar, arbitrary)
    for row in found.rows.to_dict("records"):
        return (
            f"{row['confidence_only_percent']:g} % alone (AR alone {row['ar_only_percent']:g} %; k = {row['k']}, "
            f"{row['source']})"
        )
    return _not_comparable(found.why_none) if found.why_none else None


def _not_comparable(why: str) -> str:
    return f"nothing comparable: {why}"
