"""How numbers are written: tables for the terminal, units for JSON and CSV files, runs in a few words."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from flexeval.errors import InputError
from flexeval.records import CORRECT

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from flexeval.records import RunConfig
    from flexeval.runs.store import Run, RunSet


# ----- the terminal -----

VERDICTS = (
    "The band covers all differences of its table at once with 95 % confidence (of a single one it is the interval), "
    "and verdicts follow the band. p is from the exact test of the problems that differ, for each row by itself; at "
    "k = n that is McNemar's test. Where p is above 0.05, the row is unresolved."
)
"""The note below a table of differences."""


def estimate(value: float, low: float, high: float, form: str = ".1f", *, scale: float = 100) -> str:
    """`value [low, high]`, fractions in percent unless `scale` says otherwise; a dash where the value is NaN."""
    from flexeval.stats.intervals import interval_text

    return "-" if math.isnan(value) else interval_text(value, low, high, form, scale=scale)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str] | None], *, right: Container[str] = (), keys: int = 1
) -> Table:
    """A table for the terminal; `flexeval.cli.narrow` says how it gets into a narrow one.

    Args:
        columns: the headings.
        rows: one cell a column each; None draws a line.
        right: the headings of columns that are flush right.
        keys: how many columns at the left name a row; the others hold numbers and short words, which stay on one line.
    """
    from flexeval.cli.narrow import KeyedTable

    made = KeyedTable(keys=keys)
    for place, name in enumerate(columns):
        made.add_column(name, justify="right" if name in right else "left", no_wrap=place >= keys)
    for row in rows:
        if row is None:
            made.add_section()
        else:
            made.add_row(*row)
    return made


def run_name(config: RunConfig) -> str:
    """A run in a few words."""
    from flexeval.grpo.layout import checkpoint_name
    from flexeval.models.names import model_name

    sampling, model = config.sampling, model_name(checkpoint_name(config.model), config.adapter)
    model += sampling.approximate
    return f"{model} {config.task} {config.order} T={sampling.temperature:g} block={sampling.block}"


def run_names(configs: Sequence[RunConfig]) -> list[str]:
    """The same for several runs; those that would be called alike also have the settings in which they differ."""
    names = [run_name(config) for config in configs]
    values: dict[tuple[str, str], set[str]] = {}
    for name, config in zip(names, configs, strict=True):
        for setting, value in _settings(config).items():
            values.setdefault((name, setting), set()).add(repr(value))
    return [
        " ".join([name, *(f"{of}={value}" for of, value in _settings(config).items() if len(values[name, of]) > 1)])
        for name, config in zip(names, configs, strict=True)
    ]


@contextlib.contextmanager
def of_run(name: str, *, several: bool) -> Iterator[None]:
    """Says of which of several runs something is refused."""
    try:
        yield
    except InputError as error:
        raise InputError(f"run {name}: {error}" if several else str(error)) from None


def _settings(config: RunConfig) -> dict[str, Any]:
    top = {name: value for name, value in dataclasses.asdict(config).items() if name != "sampling"}
    return {**top, **dataclasses.asdict(config.sampling)}


def counted(runs: Iterable[Run]) -> str:
    """What to add to a title where another verdict than `correct` counts."""
    names = dict.fromkeys(run.counted for run in runs if run.counted != CORRECT)
    return f"; counted: {', '.join(names)}" if names else ""


def other_verdicts(runs: Sequence[Run]) -> dict[str, list[str]]:
    """For each verdict that some run has and that does not count: its share of each run's samples, in percent.

    All runs count the same verdict.
    """
    tallies = [run.tally() for run in runs]
    names = dict.fromkeys(name for tally in tallies for name in tally if name != runs[0].counted)
    return {
        name: [
            f"{100 * tally[name] / len(run.samples):.1f}" if name in tally and len(run.samples) else "-"
            for run, tally in zip(runs, tallies, strict=True)
        ]
        for name in names
    }


# ----- files -----

_SCALE = {"percent": 100, "points": 100, "nats": 1, "squared_nats": 1, "steps": 1}


def with_units(frame: pd.DataFrame, **columns: Sequence[str]) -> pd.DataFrame:
    """The frame with units in the names of its columns, and fractions scaled to them.

    Every number in a JSON or CSV file that has a unit ends in it: `_percent` (a share times 100), `_points` (a
    difference of two of these), `_nats`, `_squared_nats`, `_steps`. Counts, k, NFE, ratios, correlations, p-values and
    `level` have none.

    Args:
        frame: fractions, nats and steps, as `flexeval.stats` gives them.
        columns: unit (percent, points, nats, squared_nats, steps) -> the columns that get it.
    """
    scaled = frame.copy()
    names = {name: f"{name}_{unit}" for unit, wanted in columns.items() for name in wanted}
    for unit, wanted in columns.items():
        scaled[list(wanted)] = _SCALE[unit] * frame[list(wanted)]
    return scaled.rename(columns=names)


def json_rows(frame: pd.DataFrame, **columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a frame as JSON objects, with units as in `with_units`; a missing number is null."""
    rows: list[dict[str, Any]] = json.loads(with_units(frame, **columns).to_json(orient="records", double_precision=15))
    return rows


_OF_RUN = ("order", "model", "task", "temperature", "gen_length", "block_length", "seed", "counted")
"""What a row of a CSV file says of its run, beside its label, so that files can be joined."""


def described(rows: pd.DataFrame, runs: RunSet) -> pd.DataFrame:
    """The rows of a CSV file with the settings of the run that the column `run` labels, after it."""
    import pandas as pd

    from flexeval.runs.store import settings_of

    of_run = {label: settings_of(run) for label, run in zip(runs.labels(), runs, strict=True)}
    own = pd.DataFrame([of_run[label] for label in rows["run"]], index=rows.index, columns=list(_OF_RUN))
    numbers = rows.drop(columns=["run", *(name for name in _OF_RUN if name in rows)])
    return pd.concat([rows[["run"]], own, numbers], axis=1)


def described_pair(rows: pd.DataFrame, runs: RunSet) -> pd.DataFrame:
    """The rows of a CSV file about two runs: settings of the first, and of the second where they can differ from it,
    under `against_` and their names.
    """
    import pandas as pd

    first, second = runs.labels()
    both = described(rows.assign(run=second)[["run"]], runs).drop(columns=["task", "counted"]).add_prefix("against_")
    one = described(rows.assign(run=first)[["run"]], runs)
    return pd.concat([one, both, rows], axis=1)


def by_run(labels: Sequence[str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of several runs below each other, with the run in the first column."""
    import pandas as pd

    named = []
    for label, of_run in zip(labels, tables, strict=True):
        named.append(of_run.copy())
        named[-1].insert(0, "run", label)
    return pd.concat(named, ignore_index=True)
