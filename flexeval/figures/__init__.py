"""Runs -> figures: the paper's and ours, as PNG, PDF and the CSV behind them.

A figure is a class here and a line below. Statistics are in `flexeval.stats`, drawing is in `flexeval.plots`; what is
here decides which runs belong into a figure, and what it says. Listing the names imports nothing of weight.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flexeval.registry import Registry

if TYPE_CHECKING:
    from flexeval.figures.figure import Figure as Figure
    from flexeval.figures.make import make_figures as make_figures
    from flexeval.figures.make import show_figure as show_figure
    from flexeval.figures.selection import Unavailable as Unavailable

_LAZY = {
    "Figure": "flexeval.figures.figure",
    "Unavailable": "flexeval.figures.selection",
    "make_figures": "flexeval.figures.make",
    "show_figure": "flexeval.figures.make",
}

FIGURES: Registry[type[Figure]] = Registry(
    "figure", entry_point_group="flexeval.figures", check="flexeval.figures.figure:check_figure_class"
)
for _name, _target, _summary in [
    ("pass-at-k", "pass_at_k:PassAtK", "Pass@k, AR order against arbitrary order (paper, Figures 1 and 3)"),
    ("difference", "pass_at_k:DifferenceToAR", "Pass@k minus that of AR order, paired by problem"),
    ("coverage", "problems:Coverage", "problems that each order solves (paper, Figures 2 and 4)"),
    ("block-length", "over_setting:BlockLength", "Pass@k over the block length (paper, Figure 5)"),
    ("block-onset", "onset:BlockOnset", "coverage lost from each block length to the next"),
    ("bypassed-words", "words:BypassedWords", "most bypassed words, by rate and by frequency (paper, Figure 6)"),
    ("connector-entropy", "words:ConnectorEntropy", "entropy of connectors at commit (paper, Figure 7)"),
    ("tokens-per-step", "cost:TokensPerStep", "accuracy over tokens per step (paper, Figure 8)"),
    ("training-time", "training:TrainingTime", "accuracy over the training (paper, Figure 9)"),
    ("temperature", "over_setting:Temperature", "Pass@k over k by temperature (paper, Figure 10)"),
    ("samplers", "pass_at_k:Samplers", "Pass@k of every order (paper, Figure 11a)"),
    ("correlation", "problems:Correlation", "accuracy problem by problem against AR (paper, Figure 11b)"),
    ("trained-pass-at-k", "training:TrainedPassAtK", "Pass@k before and after training in AR order"),
    ("order-map", "steps:OrderMap", "when each position is committed"),
    ("collapse", "steps:Collapse", "distinct canvases among a problem's samples, step by step"),
    ("non-top-rate", "over_setting:NonTopRate", "commits of tokens that are not the likeliest"),
    ("rank-map", "steps:RankMap", "rank of the committed token by step"),
    ("entropy-closure", "words:EntropyClosure", "entropy that bypassed words lose"),
    ("pass-at-nfe", "cost:PassAtNFE", "orders at equal cost"),
    ("revision", "revision:WhatRevisionChanges", "orders that take back, beside their rules that do not"),
    ("matched-entropy", "matched_entropy:MatchedEntropy", "Pass@k where orders have the same mean entropy"),
]:
    FIGURES.register(_name, f"flexeval.figures.{_target}", summary=_summary)

__all__ = ["FIGURES", "Figure", "Unavailable", "make_figures", "show_figure"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'flexeval.figures' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
