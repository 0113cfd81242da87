"""The settings of the runs in a figure, and published numbers of the same settings: as columns of its data, and in
words at its foot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from flexeval import published
from flexeval.records import CORRECT
from flexeval.runs import store
from flexeval.runs.store import SETTINGS, Run

__all__ = [
    "MEASURED",
    "SETTINGS",
    "WHY_NONE",
    "foot",
    "published_coverage",
    "published_pass_at_k",
    "sources",
    "with_settings",
]

MEASURED = "measured"
"""The `source` of rows that come from the runs; others name the publication that they come from."""
WHY_NONE = "why_no_published"
"""The column that says how the run of a measured row differs from the setting of published numbers. It is empty where
published numbers are shown, and where the model has none."""
NO_BREAK = "\N{NO-BREAK SPACE}"


OTHER_SETTINGS = "other_settings"
"""The column that says which other settings of sampling are not at their defaults; only where some are not."""

# ----- beside the numbers -----


def with_settings(rows: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The rows with the settings of their run before them: `SETTINGS`, and `OTHER_SETTINGS` where there are any."""
    found = store.with_settings(rows, run)
    sampling = run.config.sampling
    plain = sampling.schedule == "even" and sampling.per_step == 1
    others = [*sampling.unusual, *([] if plain else [sampling.pace])]
    if others:
        found.insert(len(SETTINGS), OTHER_SETTINGS, ", ".join(others))
    return found


def published_pass_at_k(run: Run) -> pd.DataFrame:
    """The published Pass@k of a run's setting, with the run's settings before it.

    Returns:
        The settings, source, k, estimate (a fraction), low and high (NaN: no paper gives them). No rows where nothing
        is published in this setting.
    """
    rows = published.pass_at_k(run).rows
    estimates = rows[["source", "k"]].assign(estimate=rows["pass_at_k_percent"] / 100, low=float("nan"))
    return with_settings(estimates.assign(high=float("nan")), run)


def published_coverage(ar: Run, arbitrary: Run) -> pd.DataFrame:
    """The published shares of problems that only AR order, and only the `confidence` order, solved.

    Returns:
        source, k (samples of each problem), ar_only, confidence_only (fractions). No rows where nothing is published in
        the setting of these runs, as they are compared.
    """
    rows = published.coverage(ar, arbitrary).rows
    shares = {part: rows[f"{part}_percent"] / 100 for part in ("ar_only", "confidence_only")}
    return rows[["source", "k"]].assign(**shares).reset_index(drop=True)


# ----- at the foot -----


def foot(data: pd.DataFrame, note: str) -> str:
    """The small print: the settings of the measured rows, then what intervals and marks mean.

    What is the same for all models and tasks comes first, then what each has of its own. A setting with several values
    is a list, or a range if the list is long. The last line says which settings are not shown.
    """
    rows = data[data["source"] == MEASURED] if "source" in data else data
    parts = {key: _numbers(own) for key, own in rows.groupby(["model", "task"], sort=False)}
    same = [part for part in next(iter(parts.values())) if all(part in own for own in parts.values())]
    names = f"model {_values(rows['model'], str)}, task {_values(rows['task'], str)}"
    text = f"{', '.join([names, *same])}."
    several = rows["model"].nunique() > 1
    alike: dict[str, list[str]] = {}
    for (model, task), own in parts.items():
        if rest := ", ".join(part for part in own if part not in same):
            alike.setdefault(rest, []).append(f"{model} on {task}" if several else str(task))
    text += "".join(f" {_listed(own)}: {rest}." for rest, own in alike.items())
    # No line break inside a number's part, nor between a number and its unit.
    return f"{text}\n{note.replace(' %', NO_BREAK + '%')}{_left_out(data)}"


def _numbers(rows: pd.DataFrame) -> list[str]:
    """How much was sampled and in which settings. The block length of AR order counts only without other orders, since
    it changes nothing there.
    """
    others = rows[rows["order"] != "ar"]
    blocks = others if len(others) else rows
    numbers = [
        _extent(rows, "num_samples", "n = {}"),
        _extent(rows, "problems", "{} problems"),
        f"T = {_values(rows['temperature'])}",
        f"block {_values(blocks['block_length'])}",
        f"length {_values(rows['gen_length'])}",
        f"seed {_values(rows['seed'].astype(str), str)}",
    ]
    if OTHER_SETTINGS in rows and (told := rows[OTHER_SETTINGS].dropna().unique().tolist()):
        alike = len(told) == 1 and rows[OTHER_SETTINGS].notna().all()
        numbers.append(told[0] if alike else f"some with {' or '.join(told)}")
    if CORRECT not in set(rows["counted"]):
        numbers.append(f"counted: {_values(rows['counted'], str)}")
    return [part if " for " in part else part.replace(" ", NO_BREAK) for part in numbers]


def _extent(rows: pd.DataFrame, column: str, form: str) -> str:
    """How many, in a form such as "n = {}"; where runs differ in it, the usual number and who has others."""
    usual, *others = rows.groupby(column).size().sort_values(ascending=False, kind="stable").index
    for setting, called in _TOLD_BY.items():
        of_setting = rows.groupby(setting, sort=False)[column]
        if others and (of_setting.nunique() == 1).all():
            had = of_setting.first()
            texts = [f"{other} for {called}{_values(_short(had.index[had == other]), str)}" for other in others]
            return ", ".join([form.format(usual), *texts])
    return form.format(_values(rows[column]))


_TOLD_BY = {"order": "", "temperature": f"T{NO_BREAK}={NO_BREAK}", "block_length": "block "}
"""The settings by which the small print can say which runs are larger: the setting, and what precedes its value."""


def _short(values: pd.Index[Any]) -> pd.Series[Any]:
    """Orders without their parameters, other values as text."""
    return pd.Series([value.split(":")[0] if isinstance(value, str) else _number(value) for value in values])


def sources(data: pd.DataFrame) -> str:
    """The sentences that name the publications among the rows, or say why none is shown beside a run.

    Args:
        data: with the columns `source` and `WHY_NONE`.
    """
    cited = [source for source in data["source"].unique() if source != MEASURED]
    text = f" Published: {'; '.join(cited)}." if cited else ""
    for why, rows in data.dropna(subset=WHY_NONE).groupby(WHY_NONE, sort=False):
        where = f" on {_listed(rows['task'].unique())}" if data["task"].nunique() > 1 else ""
        text += f" No published number beside {_listed(rows['order'].unique())}{where}: {why}."
    return text


def _left_out(data: pd.DataFrame) -> str:
    """The line on runs that are not shown; empty where all are."""
    if "left_out" not in data or not data["left_out"].any():
        return ""
    where: dict[str, list[str]] = {}
    for task, texts in data.groupby("task", sort=False)["left_out"]:
        parts = [part for text in texts.unique() for part in text.split("; ") if part]
        where.setdefault("; ".join(dict.fromkeys(parts)), []).append(str(task))
    several = len(where) > 1
    told = [f"{part} ({_listed(tasks)})" if several else part for part, tasks in where.items() if part]
    return f"\nNot shown: {'; '.join(told)}."


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _values(column: pd.Series[Any], write: Callable[[Any], str] = _number) -> str:
    values = list(dict.fromkeys(write(value) for value in sorted(column.unique())))
    if len(values) > 6 and write is _number:
        return f"{values[0]} to {values[-1]}"
    return _listed(values)


def _listed(values: Iterable[str]) -> str:
    *before, last = values
    return f"{', '.join(before)} and {last}" if before else str(last)
