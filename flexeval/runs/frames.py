"""A run as frames that stand by themselves, and as what a notebook shows. Every row says which run it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from flexeval import display
from flexeval.records import CORRECT, REVISION_COLUMNS, Revisions, Sample, Trajectory
from flexeval.stats.bootstrap import interval
from flexeval.stats.pass_at_k import default_ks, pass_at_k_table

if TYPE_CHECKING:
    from flexeval.runs.run import Run

SETTINGS = (
    "model",
    "task",
    "order",
    "temperature",
    "gen_length",
    "block_length",
    "num_samples",
    "problems",
    "seed",
    "counted",
)
"""The columns that say which run a row is of."""


def settings_of(run: Run) -> dict[str, Any]:
    """The values of `SETTINGS`."""
    sampling = run.config.sampling
    return {
        "model": run.model,
        "task": run.config.task,
        "order": run.config.order,
        "temperature": sampling.temperature,
        "gen_length": sampling.gen_length,
        "block_length": sampling.block,
        "num_samples": run.config.num_samples,
        "problems": len(run.problems),
        "seed": run.seed,
        "counted": run.counted,
    }


def with_settings(rows: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The rows with the settings of their run before them."""
    rows = rows.reset_index(drop=True)
    return pd.concat([pd.DataFrame(settings_of(run), index=rows.index, columns=list(SETTINGS)), rows], axis=1)


def sample_rows(run: Run) -> pd.DataFrame:
    """See `Run.to_frame`."""
    names = [name for name in run.tally() if name != CORRECT]
    verdicts = {name: [row[name] for row in run.samples["verdicts"]] for name in names}
    return with_settings(run.samples.drop(columns="verdicts", errors="ignore").assign(**verdicts), run)


def labelled(frames: Sequence[pd.DataFrame], labels: Sequence[str]) -> pd.DataFrame:
    """The frames below each other, with the run of each row in the first column."""
    sizes = [len(frame) for frame in frames]
    run = pd.Series(np.repeat(np.asarray(labels, dtype=object), sizes), name="run", dtype=object)
    return pd.concat([run, stacked(frames)], axis=1)


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frames below each other; where all have categories in a column, it keeps them."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for frame in frames for name in frame.columns):
        parts = [frame[name] if name in frame else pd.Series(None, frame.index, dtype=object) for frame in frames]
        words = all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts)
        columns[name] = union_categoricals(parts) if words else pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)


def stored_sample(run: Run, row: pd.Series[Any], tokens: pd.DataFrame, revisions: pd.DataFrame) -> Sample:
    """A sample as it was drawn. What it lacks is the mask id, for which -1 stands, and where a position was never
    committed.

    Args:
        run: that it is of.
        row: of `run.samples`.
        tokens: its rows of the token table.
        revisions: what it took back.
    """
    size = run.config.sampling.gen_length
    at = tokens["position"].to_numpy()

    def spread(name: str) -> Any:
        values = tokens[name].to_numpy()
        spread_G = np.full(size, np.nan if values.dtype.kind == "f" else -1, dtype=values.dtype)
        spread_G[at] = values
        return spread_G

    pieces = [""] * size
    for position, piece in zip(at.tolist(), tokens["piece"], strict=True):
        pieces[position] = piece
    problems = run.problems.set_index("problem_id")
    measured = ("commit_step", "entropy", "prob", "rank", "top_prob", "eligible_entropy", "frontier_step",
                "frontier_entropy", "passes")  # fmt: skip
    return Sample(
        text=row["text"] or "",
        pieces=pieces,
        trajectory=Trajectory(
            problem_id=row["problem_id"],
            sample_index=int(row["sample_index"]),
            prompt_length=int(problems["prompt_length"][row["problem_id"]]),
            token_ids_G=spread("token_id"),
            length=int(row["length"]),
            nfe=int(row["nfe"]),
            **{f"{name}_G": spread(name) for name in measured},
            revisions=Revisions.of(list(revisions[list(REVISION_COLUMNS)].itertuples(index=False, name=None))),
            capped=bool(row.get("capped", False)),
        ),
    )


# ----- in a notebook -----


def run_html(run: Run) -> str:
    """Settings, Pass@k and the shares of the verdicts."""
    counts = run.counts()
    n = int(counts["n"].min()) if len(counts) else 0
    parts = [display.heading(_title(run)), display.facts(settings_of(run)), display.facts({"folder": run.folder})]
    if not run.complete:
        wanted = len(run.problems) * run.config.num_samples
        parts.append(display.facts({"unfinished": f"{len(run.samples)} of {wanted} samples"}))
    if n:
        ks = default_ks(n)
        at = interval(pass_at_k_table(counts, ks))
        columns = ["", *(f"pass@{k}" for k in ks)]
        parts.append(display.table(columns, [["percent", *(at[k].text(scale=100) for k in ks)]]))
        shares = {name: f"{100 * number / len(run.samples):.1f} %" for name, number in run.tally().items()}
        parts.append(display.facts(shares))
    return display.block(*parts)


def run_set_html(runs: Sequence[Run], labels: Sequence[str]) -> str:
    """A line a run: its settings, and Pass@1 and Pass@n."""
    rows = []
    for run, label in zip(runs, labels, strict=True):
        counts = run.counts()
        n = int(counts["n"].min()) if len(counts) else 0
        at = interval(pass_at_k_table(counts, sorted({1, n}))) if n else {}
        passed = [at[k].text(scale=100) if n else "–" for k in (1, n)]
        settings = settings_of(run)
        rows.append([label, *(settings[name] for name in _LINE), n, *passed])
    columns = ["run", *_LINE, "n", "pass@1, %", "pass@n, %"]
    return display.block(display.heading(f"{len(runs)} runs"), display.table(columns, rows))


_LINE = ("model", "task", "temperature", "block_length", "problems")


def _title(run: Run) -> str:
    return f"run of {run.model} on {run.config.task}, order {run.config.order}"


# ----- in a sentence -----


def run_text(run: Run) -> str:
    """A run on one line."""
    share = f", {100 * run.outcomes()['correct'].mean():.1f} % {run.counted}" if len(run.samples) else ""
    unfinished = "" if run.complete else ", unfinished"
    return (
        f"{type(run).__name__}({run.model}, {run.config.task}, {run.config.order}, "
        f"T={run.config.sampling.temperature:g}: {len(run.problems)} problems x {run.config.num_samples} samples"
        f"{unfinished}{share})"
    )
