"""Arrays and frames -> numbers. Knows no torch and no files."""

from flexeval.stats.area import coverage_auc, potential_at_k
from flexeval.stats.bands import difference_band, pass_at_k_band
from flexeval.stats.bootstrap import interval, paired_difference
from flexeval.stats.budget import default_budgets, pass_at_nfe, pass_at_nfe_table
from flexeval.stats.bypass import bypass_table, most_bypassed, wilson
from flexeval.stats.collapse_band import collapse_band
from flexeval.stats.comparison import comparison
from flexeval.stats.connectors import CONNECTORS
from flexeval.stats.correlation import accuracy_correlation, accuracy_pairs
from flexeval.stats.coverage import Coverage, coverage, coverage_frame
from flexeval.stats.crossing import Crossing, crossing_point
from flexeval.stats.diversity import collapse_table, diversity_table, self_bleu
from flexeval.stats.enrichment import Enrichment, enrichment
from flexeval.stats.entropy import connector_entropy, entropy_difference, entropy_table, highest_entropy_words
from flexeval.stats.extrapolation import BetaBinomial, extrapolate
from flexeval.stats.matched import Match, OutOfReach, match_entropy, matched_pass_at_k
from flexeval.stats.order import commit_step_map, global_ar_ness, local_ar_ness, order_distance
from flexeval.stats.pace import tokens_per_step
from flexeval.stats.pass_at_k import default_ks, pass_at_k, pass_at_k_table
from flexeval.stats.ranks import non_top_rate, proposal_against_commit, rank_by_step
from flexeval.stats.resampling import LEVEL, bootstrap_means
from flexeval.stats.summary import (
    RunSummary,
    difference_frame,
    pass_at_k_differences,
    summarize,
    summary_frame,
)
from flexeval.stats.verdict import Difference, Interval, holm, side
from flexeval.stats.words import words

__all__ = [
    "CONNECTORS",
    "LEVEL",
    "BetaBinomial",
    "Coverage",
    "Crossing",
    "Difference",
    "Enrichment",
    "Interval",
    "Match",
    "OutOfReach",
    "RunSummary",
    "accuracy_correlation",
    "accuracy_pairs",
    "bootstrap_means",
    "bypass_table",
    "collapse_band",
    "collapse_table",
    "commit_step_map",
    "comparison",
    "connector_entropy",
    "coverage",
    "coverage_auc",
    "coverage_frame",
    "crossing_point",
    "default_budgets",
    "default_ks",
    "difference_band",
    "difference_frame",
    "diversity_table",
    "enrichment",
    "entropy_difference",
    "entropy_table",
    "extrapolate",
    "global_ar_ness",
    "highest_entropy_words",
    "holm",
    "interval",
    "local_ar_ness",
    "match_entropy",
    "matched_pass_at_k",
    "most_bypassed",
    "non_top_rate",
    "order_distance",
    "paired_difference",
    "pass_at_k",
    "pass_at_k_band",
    "pass_at_k_differences",
    "pass_at_k_table",
    "pass_at_nfe",
    "pass_at_nfe_table",
    "potential_at_k",
    "proposal_against_commit",
    "rank_by_step",
    "self_bleu",
    "side",
    "summarize",
    "summary_frame",
    "tokens_per_step",
    "wilson",
    "words",
]
