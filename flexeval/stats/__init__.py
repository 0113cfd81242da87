"""Arrays and frames -> numbers. Knows no torch and no files."""

from flexeval.stats.bootstrap import Difference, Interval, bootstrap_means, interval, paired_difference
from flexeval.stats.pass_at_k import default_ks, pass_at_k, pass_at_k_table
from flexeval.stats.summary import (
    RunSummary,
    difference_frame,
    pass_at_k_differences,
    summarize,
    summary_frame,
)

__all__ = [
    "Difference",
    "Interval",
    "RunSummary",
    "bootstrap_means",
    "default_ks",
    "difference_frame",
    "interval",
    "paired_difference",
    "pass_at_k",
    "pass_at_k_differences",
    "pass_at_k_table",
    "summarize",
    "summary_frame",
]
