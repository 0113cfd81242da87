"""One run in one line: Pass@k with intervals, evaluations per sample, tokens per forward, evaluations saved, samples
per second.

Turns counts and totals into the rows that the command line prints and writes. Knows no run folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from flexeval.records import SamplingEffort
from flexeval.stats.bootstrap import DEFAULT, Bootstrap, interval
from flexeval.stats.intervals import Interval
from flexeval.stats.nfe import tokens_per_forward
from flexeval.stats.pass_at_k import pass_at_k_table
from flexeval.stats.pooled import pool, pooled_interval


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The numbers of one run."""

    order: str
    problems: int
    num_samples: int
    """Samples of the problem that has the fewest."""
    pass_at_k: dict[int, Interval]
    """k -> mean over problems, fractions."""
    nfe: float | None
    """Mask-predictor evaluations per sample, the mean over samples; None where that is not known."""
    tokens_per_forward: float | None
    """Tokens of the texts over evaluations, both summed (`flexeval.stats.nfe`); None where that is not known."""
    saved: float | None
    """The share of evaluations that merging equal canvases saved, a fraction; None when nothing was evaluated."""
    samples_per_second: float | None


def summarize(
    order: str,
    counts: pd.DataFrame,
    samples: pd.DataFrame,
    effort: SamplingEffort,
    *,
    ks: Sequence[int],
    bootstrap: Bootstrap = DEFAULT,
) -> RunSummary:
    """The summary of one run.

    Args:
        order: its name.
        counts: columns problem_id, n, c; every problem of the run.
        samples: columns problem_id, nfe, length; one row a sample. nfe is 0 where it is not known.
        effort: totals of the sampling.
        ks: the values of k.
        bootstrap: level, replicates and seed.

    Raises:
        InputError: a problem with fewer than max(ks) samples.
    """
    table = pass_at_k_table(counts, ks)
    intervals = interval(table, bootstrap=bootstrap)
    return RunSummary(
        order=order,
        problems=len(counts),
        num_samples=int(counts["n"].min()),
        pass_at_k={k: intervals[k] for k in ks},
        nfe=float(samples["nfe"].mean()) or None,
        tokens_per_forward=tokens_per_forward(samples, bootstrap=bootstrap).estimate if samples["nfe"].any() else None,
        saved=effort.saved,
        samples_per_second=effort.samples_per_second,
    )


def endings_frame(order: str, endings: pd.DataFrame, *, bootstrap: Bootstrap = DEFAULT) -> pd.DataFrame:
    """How the samples of a run ended: shares of them in percent, with intervals over problems.

    Args:
        order: the run's name.
        endings: columns problem_id, answer_started and, where it is known, budget_exhausted; one row a sample.
        bootstrap: level, replicates and seed.

    Returns:
        One row an ending ("answer started", "budget exhausted", "exhausted before an answer"): order, ending, percent,
        low_percent, high_percent.

    Raises:
        InputError: no sample.
    """
    shares = {"answer started": endings["answer_started"]}
    if "budget_exhausted" in endings:
        shares["budget exhausted"] = endings["budget_exhausted"]
        shares["exhausted before an answer"] = endings["budget_exhausted"] & ~endings["answer_started"]
    rows = []
    for ending, of_sample in shares.items():
        found = pooled_interval(pool(of_sample, endings["problem_id"]), largest=1.0, bootstrap=bootstrap)
        rows.append((order, ending, *(100 * value for value in (found.estimate, found.low, found.high))))
    return pd.DataFrame(rows, columns=["order", "ending", "percent", "low_percent", "high_percent"])


def summary_frame(summaries: Sequence[RunSummary]) -> pd.DataFrame:
    """One row an order and k: Pass@k and its interval in percent, and the run's totals."""
    return pd.DataFrame(
        [
            {
                "order": summary.order,
                "k": k,
                "pass_percent": 100 * at_k.estimate,
                "low_percent": 100 * at_k.low,
                "high_percent": 100 * at_k.high,
                "level": at_k.level,
                "problems": summary.problems,
                "num_samples": summary.num_samples,
                "nfe": summary.nfe,
                "tokens_per_forward": summary.tokens_per_forward,
                "saved_percent": None if summary.saved is None else 100 * summary.saved,
                "samples_per_second": summary.samples_per_second,
            }
            for summary in summaries
            for k, at_k in summary.pass_at_k.items()
        ]
    )


def difference_frame(first: str, second: str, compared: pd.DataFrame) -> pd.DataFrame:
    """One row a k: `first` minus `second` in percentage points, its interval, the band over all k, and the verdict.

    Args:
        first, second: the names of the orders.
        compared: Pass@k of the two, from `comparison`.
    """
    points = ["difference", "low", "high", "band_low", "band_high"]
    frame = compared[["k", *points, "p_value", "verdict"]].rename(columns={name: f"{name}_points" for name in points})
    frame[[f"{name}_points" for name in points]] *= 100
    frame.insert(0, "second", second)
    frame.insert(0, "first", first)
    return frame
