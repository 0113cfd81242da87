"""What the claims say of some runs: one finding for each, as a frame, as a Markdown table, and what stands below it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from flexeval.claims import CLAIMS
from flexeval.claims.verdict import LEVEL, Verdict
from flexeval.errors import PluginError
from flexeval.records import CORRECT
from flexeval.runs.one_pass import in_one_pass
from flexeval.runs.store import Run, RunSet, as_runs
from flexeval.stats.verdict import holm

_HEADINGS = ("Claim", "Source", "Task", "Measured", "Reported", "Built in?", "p", "Verdict")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the claims table. Without numbers when nothing was measured."""

    claim: str
    """The claim's name."""
    sentence: str
    source: str
    run: str = ""
    """The orders among the plain runs of its model, task and temperature, with commas between them."""
    order: str = ""
    """The same, since a finding is of several runs; both are columns of every file of numbers."""
    model: str = ""
    """Empty when no run is of a task that the claim is about."""
    task: str = ""
    temperature: float | None = None
    """At which it is examined; None without a model."""
    counted: str = CORRECT
    """The verdict by which a sample counts as solving its problem."""
    training: str = ""
    """Whose checkpoints it compares with the model; empty for claims that are not about training."""
    measured: str
    """In words; which runs are missing when nothing was measured."""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str
    """Of the three numbers."""
    paper: str | None = None
    """As `Measured.published`; None when nothing was measured."""
    built_in: str = ""
    """As `flexeval.claims.built_in.built_in`; empty when nothing was measured."""
    p_value: float | None = None
    """Of the claim's contrary, or of the claim where the data point that way; by itself."""
    p_holm: float | None = None
    """The same, corrected for the claims that it stands among; equal to `p_value` for a claim by itself."""
    verdict: Verdict = "not measured"
    """By `p_holm`."""
    left_out: str = ""
    """Which runs of this model and task the claims are not about, in a line; empty when there are none."""

    def among(self, p_holm: float) -> Finding:
        """The same claim in a table: a verdict that does not survive the correction is unresolved."""
        verdict = self.verdict if p_holm <= LEVEL else "unresolved"
        return dataclasses.replace(self, p_holm=p_holm, verdict=verdict)


def examine(runs: RunSet | Run) -> list[Finding]:
    """Every claim on these runs, or on one; a table of one finding for each model, task and temperature that a claim is
    about.

    Verdicts are corrected for the number of findings that something was measured for. A claim of another distribution
    that cannot be used is not measured, and says why.

    Raises:
        DamageError: a run whose rows are not as they were written.
    """
    return corrected(examine_each(runs))


def examine_each(runs: RunSet | Run) -> list[Finding]:
    """As `examine`, with each verdict by itself."""
    runs = as_runs(runs)
    examined = in_one_pass([functools.partial(_findings_of, name, runs) for name in CLAIMS])
    return [finding for one in examined for finding in one.result()]


def corrected(findings: Sequence[Finding]) -> list[Finding]:
    """The findings of one table, which are corrected for how many they are."""
    p_values = iter(holm([finding.p_value for finding in findings if finding.p_value is not None]))
    return [finding if finding.p_value is None else finding.among(next(p_values)) for finding in findings]


def findings_frame(findings: Sequence[Finding]) -> pd.DataFrame:
    """One row a finding, one column a field of `Finding`; fractions and nats."""
    fields = [field.name for field in dataclasses.fields(Finding)]
    return pd.DataFrame([dataclasses.asdict(finding) for finding in findings], columns=fields)


def findings_markdown(findings: Sequence[Finding]) -> str:
    """The claims table and what stands below it. A finding without a model is of no task that was run."""
    models = {finding.model for finding in findings if finding.model}
    rows = [_HEADINGS, ("---",) * len(_HEADINGS)]
    for finding in findings:
        where = f"{finding.task} ({finding.model})" if len(models) > 1 else finding.task
        p = "" if finding.p_holm is None else f"{finding.p_holm:.2g}"
        texts = (finding.sentence, finding.source, where, finding.measured, finding.paper, finding.built_in, p)
        cells = (*texts, f"**{finding.verdict}**")
        rows.append(tuple("–" if not cell else cell.replace("|", "\\|") for cell in cells))
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return table + "".join(f"\n{line}\n" for line in findings_footer(findings))


def findings_footer(findings: Sequence[Finding]) -> list[str]:
    """What stands below a table of findings: how its verdicts are corrected, and which runs they are not about."""
    measured = sum(finding.p_holm is not None for finding in findings)
    lines = [
        f"Verdicts are corrected for the {measured} claims that were measured: p is by Holm's step-down over these, "
        f"and a claim whose p is above {LEVEL:g} is unresolved, also where its interval by itself excludes the bound."
    ]
    if counted := list(dict.fromkeys(finding.counted for finding in findings if finding.counted != CORRECT)):
        lines.append(f"Counted: {', '.join(counted)}. A sample solves its problem when this verdict on it is true.")
    lines += dict.fromkeys(finding.left_out for finding in findings if finding.left_out)
    return lines if measured else lines[1:]


def _findings_of(name: str, runs: RunSet) -> list[Finding]:
    try:
        claim = CLAIMS.get(name)()
    except PluginError as error:
        return [Finding(claim=name, sentence=name, source=CLAIMS.summary(name), measured=str(error), unit="")]
    return claim.examine(runs)
