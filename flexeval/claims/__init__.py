"""Claims of the literature, each with what to measure and the rule that decides; runs -> the claims table."""

from __future__ import annotations

from flexeval.claims.claim import Claim, Finding, Measured
from flexeval.claims.table import findings_footer, findings_frame, findings_markdown
from flexeval.claims.verdict import Judgement, Verdict, all_of, judge
from flexeval.registry import Registry
from flexeval.runs.store import RunSet
from flexeval.stats.verdict import holm

CLAIMS: Registry[type[Claim]] = Registry("claim")
"""In the order of the table."""
for _name, _target in [
    ("arbitrary-order-not-worse-at-1", "arbitrary_order:NotWorseAtOne"),
    ("ar-better-at-largest-k", "arbitrary_order:ArBetterAtLargestK"),
    ("nearly-a-subset", "arbitrary_order:NearlySubset"),
    ("connectors-bypassed", "connectors:ConnectorsBypassed"),
    ("connector-entropy-lower", "connectors:ConnectorEntropyLower"),
    ("falls-with-block-length", "blocks:FallsWithBlockLength"),
    ("loss-between-block-1-and-8", "blocks:LossBetweenOneAndEight"),
    ("top-prob-recovers", "critics:TopProbRecovers"),
    ("confidence-commits-top-tokens", "critics:CommitsTopTokens"),
    ("egi-exceeds-ar", "critics:EgiExceedsAr"),
    ("order-freedom-helps-sudoku", "constraints:OrderFreedomHelps"),
    ("grpo-raises-accuracy", "training:GrpoRaisesAccuracy"),
    ("gain-survives-parallel-decoding", "training:GainSurvivesParallelDecoding"),
    ("ceiling-does-not-rise", "training:CeilingDoesNotRise"),
    ("ar-rollouts-train-better", "training:ArRolloutsTrainBetter"),
    ("fast-at-equal-time", "training:FastAtEqualTime"),
]:
    CLAIMS.register(_name, f"flexeval.claims.{_target}")


def examine(runs: RunSet) -> list[Finding]:
    """Every claim on these runs, one finding for each model and task that it is about; a table.

    Verdicts are corrected for the number of findings that something was measured for.
    """
    findings = [finding for name in CLAIMS for finding in CLAIMS.get(name)().examine(runs)]
    corrected = iter(holm([finding.p_value for finding in findings if finding.p_value is not None]))
    return [finding if finding.p_value is None else finding.among(next(corrected)) for finding in findings]


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
