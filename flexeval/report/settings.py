"""The section on settings: what was run, on which machine, and the outcome of the samples."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from flexeval.records import PACE, SamplingConfig
from flexeval.report.page import Part, Section, Table, html
from flexeval.report.task_runs import TaskRuns
from flexeval.runs.environment import PACKAGES
from flexeval.runs.store import Run, RunSet, machine_differences


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


ERRORS_SHOWN = 5
_ALWAYS_SHOWN = {"gen_length", "block_length", "temperature", "seed"}
_QUIET = {
    field.name: _written(field.default)
    for field in dataclasses.fields(SamplingConfig)
    if field.name not in _ALWAYS_SHOWN
}
"""Settings that share one line where they have their defaults."""


def settings_section(runs: RunSet, groups: Sequence[TaskRuns]) -> Section:
    """Settings, provenance and state of every run."""
    facts = [_facts(run) for run in runs]
    same = {name: value for name, value in facts[0].items() if all(other.get(name) == value for other in facts)}
    differing = [name for name in dict.fromkeys(name for fact in facts for name in fact) if name not in same]
    at_default = {name for name in same if name in _QUIET and same[name] == _QUIET[name]}
    shown = {name: value for name, value in same.items() if name not in at_default}
    parts: list[Part] = [
        html("settings", several=len(runs) > 1, same=shown),
        f"At their defaults: {', '.join(f'{name} {same[name]}' for name in same if name in at_default)}.",
    ]
    if differing:
        rows = [[fact.get(name, "–") for name in differing] for fact in facts]
        words = range(len(differing))
        parts.append(Table(columns=differing, rows=rows, caption="Where the runs differ", words=words, labels=0))
    if runs.left_out:
        parts.append(f"Left out beside a larger run of the same setting: {'; '.join(runs.left_out)}.")
    if difference := machine_differences([environment for run in runs for environment in run.environments]):
        parts.append(f"{difference}.")
    parts += [_samples_table(groups), *_unfinished(groups), *_errors(groups)]
    return Section(name="settings", title="Settings", parts=parts)


def _facts(run: Run) -> dict[str, str]:
    """Everything that decides or describes a run, as text, in the order of the page."""
    sampling = run.config.sampling
    environment: dict[str, Any] = run.record.get("environment", {})
    made = ("flexeval", "git_revision", "python", *PACKAGES)
    settings = {str(name): value for name, value in RunSet((run,)).settings().iloc[0].items()}
    first = ("model", "task", "order")
    # The model's name has that of its adapter, and a page shows no paths.
    del settings["adapter"]
    return {
        **{name: str(settings.pop(name)) for name in first},
        "pace": sampling.pace,
        **{name: _written(value) for name, value in settings.items() if name not in PACE},
        **({"imported from": "{file} ({form})".format(**run.record["imported"])} if run.imported else {}),
        "device": "not known" if run.imported else f"{environment.get('device')}, {environment.get('dtype')}",
        "isolation of programs": _isolation(run.record.get("isolation")),
        "prompt": _prompt(run.record.get("prompt_template")),
        "machine": ", ".join(
            f"{name.replace('_', ' ')} {value}"
            for name, value in environment.items()
            if value and name not in ("device", "dtype", *made)
        )
        or "not recorded",
        "versions": ", ".join(f"{name.replace('_', ' ')} {environment[name]}" for name in made if environment.get(name))
        or "not recorded",
    }


def _prompt(template: dict[str, str] | None) -> str:
    """The wording around each question."""
    if template is None:
        return "the task's own"
    if not template:
        return "not known"
    return "\n".join(f"{turn}: {text}" for turn, text in template.items() if text)


def _isolation(record: dict[str, Any] | None) -> str:
    """The isolation in force, from its record."""
    if record is None:
        return "none needed: no program is run"
    layers = [
        f"Landlock {record['landlock']}" if record["landlock"] else "",
        "seccomp" if record["seccomp"] else "",
        "namespaces" if record["namespaces"] else "",
        "" if record["user"] is None else f"user {record['user']}",
        "limits",
    ]
    without = "".join(f"; without {layer} ({why})" for layer, why in record["missing"].items())
    return f"Python {record['python']} under " + ", ".join(layer for layer in layers if layer) + without


def _samples_table(groups: Sequence[TaskRuns]) -> Table:
    tallies = {id(run): run.tally() for group in groups for run in group.runs}
    verdicts = list(dict.fromkeys(name for tally in tallies.values() for name in tally))
    rows = []
    for group in groups:
        for label, run in group.named:
            samples = run.samples
            wanted = len(run.problems) * run.config.num_samples
            rows.append(
                [
                    f"{group.task}, {label}" if len(groups) > 1 else label,
                    f"{len(samples)} of {wanted}",
                    *(str(tallies[id(run)].get(name, "–")) for name in verdicts),
                    str(int(samples["extracted"].isna().sum())),
                    str(int(samples["error"].notna().sum())),
                    *(
                        f"{samples[name].mean():.1f}" if len(samples) and not run.imported else "–"
                        for name in ("length", "nfe")
                    ),
                ]
            )
    columns = ["run", "samples", *verdicts, "no answer found", "errors", "tokens a text", "NFE a sample"]
    return Table(columns=columns, rows=rows, caption="Outcome of the samples")


def _unfinished(groups: Sequence[TaskRuns]) -> list[Part]:
    names = [
        f"{group.task}, {label}{f' (lacks {run.lacking})' if run.lacking else ''}"
        for group in groups
        for label, run in group.named
        if not run.complete
    ]
    if not names:
        return []
    return [
        f"Not finished: {'; '.join(names)}. All numbers are about the samples drawn so far. The command that began a "
        "run continues it."
    ]


def _errors(groups: Sequence[TaskRuns]) -> list[Part]:
    """The most frequent errors of each run that has any."""
    rows = []
    for group in groups:
        for label, run in group.named:
            found = Counter(str(error).strip().splitlines()[0][:160] for error in run.samples["error"].dropna())
            name = f"{group.task}, {label}" if len(groups) > 1 else label
            rows += [[name, error, str(count)] for error, count in found.most_common(ERRORS_SHOWN)]
            if len(found) > ERRORS_SHOWN:
                shown = sum(count for _, count in found.most_common(ERRORS_SHOWN))
                rows.append([name, f"({len(found) - ERRORS_SHOWN} other kinds)", str(found.total() - shown)])
    caption = "Why answers could not be graded"
    return [Table(columns=["run", "error", "samples"], rows=rows, caption=caption, words=(1,))] if rows else []
