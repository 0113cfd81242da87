"""Models that differ in the seed of their training only: each is a replicate of a claim, not more problems of it.

An interval over problems knows nothing of another training. So each model's claims are examined by themselves, as its
own table, and set side by side: in how many models a claim holds, and the mean of what was measured, with Student's
interval over the models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from flexeval.claims.findings import Finding, examine
from flexeval.errors import InputError
from flexeval.runs.store import Run, RunSet
from flexeval.stats.intervals import LEVEL


@dataclass(frozen=True, kw_only=True)
class Replicated:
    """One claim on one task at one temperature, in all models."""

    named: Mapping[str, Finding]
    """Replicate -> what it shows, corrected within its own claims; those that the claim was measured on."""
    models: int
    """How many replicates there are."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """One for each replicate."""
        return tuple(self.named.values())

    @property
    def first(self) -> Finding:
        """For what all findings have in common."""
        return self.findings[0]

    @property
    def holding(self) -> int:
        """In how many models the claim holds."""
        return sum(finding.verdict == "holds" for finding in self.findings)

    def interval(self) -> tuple[float, float, float]:
        """Mean over the models and the bounds of its 95 % interval (Student, models - 1 degrees of freedom), in the
        claim's unit; the bounds are NaN for one model.
        """
        from scipy.stats import t

        values = np.array([finding.estimate for finding in self.findings], dtype=float)
        mean, freedom = float(values.mean()), len(values) - 1
        if not freedom:
            return mean, math.nan, math.nan
        half = float(t.ppf((1 + LEVEL) / 2, freedom) * values.std(ddof=1) / math.sqrt(len(values)))
        return mean, mean - half, mean + half


def replicate(runs: RunSet) -> list[Replicated]:
    """Every claim that was measured, in the order of the table.

    Raises:
        InputError: the runs are of one model or training only.
    """
    replicates = _replicates(runs)
    if len(replicates) < 2:
        raise InputError(f"replicates are runs of several models or trainings, and all of these are of {runs[0].model}")
    found: dict[tuple[object, ...], dict[str, Finding]] = {}
    for name, listed in replicates.items():
        for finding in examine(RunSet(tuple(listed))):
            if finding.estimate is not None:
                key = finding.claim, finding.task, finding.temperature, finding.counted
                found.setdefault(key, {})[name] = finding
    return [Replicated(named=each, models=len(replicates)) for each in found.values()]


def _replicates(runs: RunSet) -> dict[str, list[Run]]:
    """Name -> its runs: each training with the model before it; where nothing was trained, each model.

    A model under an approximate cache is no other model, and claims are not about it.
    """
    plain = [run for run in runs if not run.config.sampling.approximate]
    found: dict[str, list[Run]] = {}
    for run in plain:
        if run.lineage:
            found.setdefault(f"{run.lineage.base}+{run.lineage.training}", []).append(run)
    if not found:
        for run in plain:
            found.setdefault(run.model, []).append(run)
        return found
    for name, own in found.items():
        base = own[0].lineage.base if own[0].lineage else name
        found[name] = [*(run for run in plain if not run.lineage and run.model == base), *own]
    return found


def replicates_frame(replicated: Sequence[Replicated]) -> pd.DataFrame:
    """One row a claim: claim, run, order, model, task, temperature, counted, unit, mean, low, high, models, measured,
    holding, refuted, and the estimate and verdict of each model; in the claim's unit.
    """
    rows = []
    for each in replicated:
        mean, low, high = each.interval()
        row: dict[str, object] = {
            "claim": each.first.claim,
            "run": each.first.run,
            "order": each.first.order,
            "model": ", ".join(finding.model for finding in each.findings),
            "task": each.first.task,
            "temperature": each.first.temperature,
            "counted": each.first.counted,
            "unit": each.first.unit,
            "mean": mean,
            "low": low,
            "high": high,
            "models": each.models,
            "measured": len(each.findings),
            "holding": each.holding,
            "refuted": sum(finding.verdict == "does not hold" for finding in each.findings),
        }
        for name, finding in each.named.items():
            row[f"{name}_estimate"] = finding.estimate
            row[f"{name}_verdict"] = finding.verdict
        rows.append(row)
    return pd.DataFrame(rows)
