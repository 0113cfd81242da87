"""Numbers in words, the same way in every claim."""

from __future__ import annotations

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
    return f"T = {sampling.temperature:g}{at_block}, {len(run.problems)} problems, n = {run.config.num_samples}"
