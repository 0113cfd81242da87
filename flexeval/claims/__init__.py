"""Claims of the literature, each with what to measure and the rule that decides; runs -> the claims table.

A claim is a class here and a line below. Listing the names imports nothing of weight.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flexeval.registry import Registry

if TYPE_CHECKING:
    from flexeval.claims.claim import Claim as Claim
    from flexeval.claims.claim import Measured as Measured
    from flexeval.claims.findings import Finding as Finding
    from flexeval.claims.findings import examine as examine
    from flexeval.claims.findings import findings_footer as findings_footer
    from flexeval.claims.findings import findings_frame as findings_frame
    from flexeval.claims.findings import findings_markdown as findings_markdown
    from flexeval.claims.verdict import Judgement as Judgement
    from flexeval.claims.verdict import Verdict as Verdict
    from flexeval.claims.verdict import all_of as all_of
    from flexeval.claims.verdict import judge as judge

_LAZY = {
    "claim": ("Claim", "Measured"),
    "findings": ("Finding", "examine", "findings_footer", "findings_frame", "findings_markdown"),
    "verdict": ("Judgement", "Verdict", "all_of", "judge"),
}

CLAIMS: Registry[type[Claim]] = Registry(
    "claim", entry_point_group="flexeval.claims", check="flexeval.claims.claim:check_claim_class"
)
"""In the order of the table."""
for _name, _target, _summary in [
    ("arbitrary-order-not-worse-at-1", "pass_at_k:NotWorseAtOne", "Pass@1, confidence against ar"),
    ("ar-better-at-largest-k", "pass_at_k:ArBetterAtLargestK", "Pass@k at the largest k, ar against confidence"),
    ("nearly-a-subset", "pass_at_k:NearlySubset", "of what confidence solves, the share that ar solves"),
    ("connectors-bypassed", "tokens:ConnectorsBypassed", "bypass rate of connectors under confidence"),
    ("connector-entropy-lower", "tokens:ConnectorEntropyLower", "entropy of connectors at commit, confidence and ar"),
    ("falls-with-block-length", "blocks:FallsWithBlockLength", "slope of Pass@k over the block length"),
    ("loss-between-block-1-and-8", "blocks:LossBetweenOneAndEight", "where the loss over block lengths appears"),
    ("top-prob-recovers", "pass_at_k:TopProbRecovers", "Pass@k of top_prob against ar and confidence"),
    ("confidence-commits-top-tokens", "tokens:CommitsTopTokens", "tokens that are not the likeliest, by temperature"),
    ("egi-exceeds-ar", "pass_at_k:EgiExceedsAr", "Pass@k of egi against ar"),
    ("order-freedom-helps-sudoku", "pass_at_k:OrderFreedomHelps", "Pass@1 on Sudoku, confidence against ar"),
    ("wino-raises-accuracy", "revising:WinoRaisesAccuracy", "Pass@1 of wino, with and without taking back"),
    ("remdm-raises-accuracy", "revising:RemdmRaisesAccuracy", "the same of remdm"),
    ("editing-raises-accuracy", "revising:EditingRaisesAccuracy", "the same of edit"),
    ("masking-beats-rewriting", "revising:MaskingBeatsRewriting", "Pass@1 of t2m against edit"),
    ("wino-narrows-answers", "revising:WinoNarrowsAnswers", "distinct answers of wino, with and without taking back"),
    (
        "position-temperature-closes-the-gap",
        "revising:PositionTemperatureClosesGap",
        "Pass@k at the largest k, tlc against ar",
    ),
    (
        "position-temperature-at-equal-cost",
        "revising:PositionTemperatureAtEqualCost",
        "Pass@NFE of tct against ar and confidence",
    ),
    ("grpo-raises-accuracy", "training:GrpoRaisesAccuracy", "Pass@1 before and after GRPO in AR order"),
    ("gain-survives-parallel-decoding", "training:GainSurvivesParallelDecoding", "the same at several tokens a step"),
    ("ceiling-does-not-rise", "training:CeilingDoesNotRise", "Pass@k at the largest k, before and after"),
    ("ar-rollouts-train-better", "training:ArRolloutsTrainBetter", "rollouts in AR order against random order"),
    ("fast-at-equal-time", "training:FastAtEqualTime", "Fast against exact training in the same time"),
]:
    CLAIMS.register(_name, f"flexeval.claims.{_target}", summary=_summary)

__all__ = [
    "CLAIMS",
    "Claim",
    "Finding",
    "Judgement",
    "Measured",
    "Verdict",
    "all_of",
    "examine",
    "findings_footer",
    "findings_frame",
    "findings_markdown",
    "judge",
]


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(importlib.import_module(f"flexeval.claims.{module}"), name)
    raise AttributeError(f"module 'flexeval.claims' has no attribute {name!r}")
