"""What was published in the setting of the runs that a claim was examined on, in words for the claims table."""

from __future__ import annotations

from flexeval import published
from flexeval.runs.store import Run


def pass_at_k_gap(first: Run, second: Run, k: int) -> str | None:
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


def coverage(ar: Run, arbitrary: Run) -> str | None:
    """Problems that only arbitrary order, and only AR order, solves, of all problems; otherwise as `pass_at_k_gap`."""
    found = published.coverage(ar, arbitrary)
    for row in found.rows.to_dict("records"):
        return (
            f"{row['confidence_only_percent']:g} % alone (AR alone {row['ar_only_percent']:g} %; k = {row['k']}, "
            f"{row['source']})"
        )
    return _not_comparable(found.why_none) if found.why_none else None


def _not_comparable(why: str) -> str:
    return f"nothing comparable: {why}"
