"""Models, or trainings, that differ in their seed only: each is a replicate of a claim, not more problems of it.

An interval over problems knows nothing of another training. So each model's claims are examined by themselves, as its
own table, and set side by side: in how many models a claim holds, and the mean of what was measured, with Student's
interval over the models.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd

from flexeval.claims import CLAIMS
from flexeval.claims.findings import Finding, corrected, examine_each
from flexeval.errors import InputError
from flexeval.models.lineage import Lineage
from flexeval.runs.store import EXTENT, Run, RunSet, fewest_samples, pooled
from flexeval.stats.intervals import LEVEL, interval_text


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
        claim's unit and as far as that goes; the bounds are NaN for one model.
        """
        from scipy.stats import t

        values = np.array([finding.estimate for finding in self.findings], dtype=float)
        mean, freedom = float(values.mean()), len(values) - 1
        if not freedom:
            return mean, math.nan, math.nan
        half = float(t.ppf((1 + LEVEL) / 2, freedom) * values.std(ddof=1) / math.sqrt(len(values)))
        least, most = CLAIMS.get(self.first.claim)().bounds
        return mean, max(mean - half, least), min(mean + half, most)


def replicate(runs: RunSet) -> list[Replicated]:
    """Every claim that was measured, in the order of the table: once for the models, or once for each recipe of which
    there are several trainings.

    Raises:
        InputError: the runs are of one model only, or no two trainings differ in their seed alone.
    """
    sets = [named for named in _replicates(runs) if len(named) > 1]
    if not sets:
        raise InputError(
            "replicates are runs of several models, or of trainings that differ in their seed alone, and these are of "
            f"{', '.join(dict.fromkeys(run.model for run in runs))}"
        )
    return [each for named in sets for each in _replicated(named)]


def are_replicated(runs: RunSet) -> bool:
    """Whether some are of trainings that differ in their seed alone."""
    return any(run.lineage for run in runs) and any(len(named) > 1 for named in _replicates(runs))


def _replicated(named: Mapping[str, RunSet]) -> list[Replicated]:
    found: dict[tuple[object, ...], dict[str, Finding]] = {}
    for name, runs in _equally_sampled(named).items():
        findings = examine_each(runs)
        if runs[-1].lineage and not runs[0].lineage:
            # What is said of the model before training is the same beside each of them.
            findings = [finding for finding in findings if finding.training]
        for finding in corrected(findings):
            if finding.estimate is not None:
                key = finding.claim, finding.task, finding.temperature, finding.counted
                found.setdefault(key, {})[name] = finding
    return [Replicated(named=each, models=len(named)) for each in found.values()]


def _replicates(runs: RunSet) -> list[dict[str, RunSet]]:
    """Sets of replicates, by name; where nothing was trained, one set of all models.

    A model under an approximate cache is no other model, and claims are not about it.
    """
    plain = [run for run in runs if not run.config.sampling.approximate]
    by_recipe: dict[tuple[str, str], list[Lineage]] = {}
    for lineage in dict.fromkeys(run.lineage for run in plain if run.lineage):
        own = by_recipe.setdefault((lineage.base, lineage.recipe), [])
        # Without a record of it, nothing says that the seed is all that differs.
        if lineage.exact_ar and lineage.recipe and lineage.seed is not None:
            own.append(lineage)
    if by_recipe:
        return [named for own in by_recipe.values() if (named := _seeds(own, plain))]
    models = list(dict.fromkeys(run.model for run in plain))
    folders = [PurePath(model).name if PurePath(model).is_absolute() else model for model in models]
    names = folders if len(set(folders)) == len(folders) else models
    return [
        {
            name: RunSet(tuple(run for run in plain if run.model == model))
            for name, model in zip(names, models, strict=True)
        }
    ]


def _seeds(checkpoints: Sequence[Lineage], plain: Sequence[Run]) -> dict[str, RunSet]:
    """The trainings of a recipe, one a seed: each after as many rollouts as all of them have drawn; where the model
    before it is there, with that, and with trainings of its seed in other orders.
    """
    by_seed: dict[int | None, dict[int, Lineage]] = {}
    for one in checkpoints:
        by_seed.setdefault(one.seed, {}).setdefault(one.samples, one)
    common = set.intersection(*(set(own) for own in by_seed.values())) if by_seed else set()
    if not common:
        return {}
    last = [own[max(common)] for own in by_seed.values()]
    names = [f"{one.base}+{one.training}" for one in last]
    if len(set(names)) < len(names):
        names = [f"{name} (seed {one.seed})" for name, one in zip(names, last, strict=True)]
    found = {}
    for name, one in zip(names, last, strict=True):
        own = [run for run in plain if run.lineage == one]
        before = [run for run in plain if not run.lineage and run.model == one.base]
        others = [run for run in plain if before and run.lineage and one.differs_in_rollouts(run.lineage)]
        found[name] = RunSet((*before, *own, *others))
    return found


def _equally_sampled(named: Mapping[str, RunSet]) -> dict[str, RunSet]:
    """The same, with the runs of each setting cut to the problems and samples that all replicates have: "the largest k"
    of one must be that of the others.
    """
    whole = {name: pooled(runs) for name, runs in named.items()}
    alike: dict[Hashable, list[Run]] = {}
    for runs in whole.values():
        for run, key in zip(runs, _settings(runs), strict=True):
            if run.complete:
                alike.setdefault(key, []).append(run)
    extent = {key: (min(len(run.problems) for run in runs), fewest_samples(*runs)) for key, runs in alike.items()}

    def cut(run: Run, key: Hashable) -> Run:
        problems, samples = extent.get(key, (0, 0))
        return run.first(problems, num_samples=samples) if run.complete and problems and samples else run

    return {
        name: RunSet(tuple(cut(run, key) for run, key in zip(runs, _settings(runs), strict=True)), runs.left_out)
        for name, runs in whole.items()
    }


def _settings(runs: RunSet) -> list[Hashable]:
    """What each run is in its replicate: its settings, and of a trained model how its rollouts were made."""
    columns = [name for name in runs.settings().columns if name not in {*EXTENT, "model"}]
    rows = runs.settings()[columns].itertuples(index=False)
    roles = ((run.lineage.rollout_order, run.lineage.fast) if run.lineage else None for run in runs)
    return [(role, *map(repr, row)) for role, row in zip(roles, rows, strict=True)]


MEANS = (
    "mean: over the models, with Student's 95 % interval (models - 1 degrees of freedom); runs of one setting are cut "
    "to the problems and samples that all models have"
)
"""What stands below a table of replicates."""


def replicates_table(replicated: Sequence[Replicated]) -> list[list[str]]:
    """A heading and one line a claim."""
    lines = [["claim", "task", "T", "models", "in each model", "mean", "unit", "holds in", "verdicts"]]
    for each in replicated:
        first = each.first
        mean, low, high = each.interval()
        lines.append(
            [
                first.claim,
                first.task,
                "-" if first.temperature is None else f"{first.temperature:g}",
                ", ".join(each.named),
                ", ".join(f"{finding.estimate:.3f}" for finding in each.findings),
                f"{mean:.3f}" if math.isnan(low) else interval_text(mean, low, high, form=".3f"),
                first.unit,
                f"{each.holding} of {len(each.findings)}",
                ", ".join(finding.verdict for finding in each.findings),
            ]
        )
    return lines


def replicates_frame(replicated: Sequence[Replicated]) -> pd.DataFrame:
    """One row a claim: claim, run, order, model, task, temperature, counted, unit, mean, low, high, models, measured
    (on how many of them), holding, refuted, and of each model the estimate, the verdict and what was measured, in words
    with k, problems and samples; in the claim's unit.
    """
    rows = []
    for each in replicated:
        mean, low, high = each.interval()
        row: dict[str, object] = {
            "claim": each.first.claim,
            "run": each.first.run,
            "order": each.first.order,
            "model": ", ".join(each.named),
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
            row[f"{name}_measured"] = finding.measured
        rows.append(row)
    return pd.DataFrame(rows)
