"""Runs -> a folder that is a data set of the hub: Parquet files and a card that says what is in them.

`datasets.load_dataset(folder, "samples")` loads it, and `hf upload` or `huggingface-cli upload` sends it as it is.
Three tables: `runs`, `samples` (one row a sample) and `tokens` (one row a committed position, without imported runs).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

import flexeval
from flexeval.errors import InputError
from flexeval.records import CORRECT
from flexeval.runs.store import RunSet
from flexeval.runs.target import write_target
from flexeval.runs.tokens import table_bytes
from flexeval.stats.bootstrap import interval
from flexeval.stats.pass_at_k import default_ks, pass_at_k_table

CARD = "README.md"
TABLES = ("runs", "samples", "tokens")
TAG = "diffusion-language-model"
"""In the card's head, which tells an export from a folder of somebody's own."""

_PARTIAL = ".flexeval-export-"
"""How the name begins of a folder of files that are not in place yet; a kill may leave one."""


def write_hub_folder(runs: RunSet, out: str | Path) -> list[Path]:
    """Write the data set. What is refused changes nothing: all is written beside the old files before it replaces them.

    Args:
        runs: finished or not.
        out: a folder that does not exist, is empty, or holds an earlier export.

    Returns:
        The files, the card last.

    Raises:
        InputError: no run, or a folder that holds something else.
        OSError: a file cannot be written.
    """
    if not len(runs):
        raise InputError("there are no runs to export; give folders that `flexeval passk` wrote")
    folder = Path(out)
    _require_own(folder)
    labels, samples = runs.labels(), runs.to_frame()
    # An id is unique within a task only, so each run's samples get the questions of its own problems.
    asked = [run.problems.set_index("problem_id").loc[run.samples["problem_id"].astype(object)] for run in runs]
    place = list(samples.columns).index("problem_id") + 1
    for name in ("target", "question"):
        samples.insert(place, name, np.concatenate([own[name].to_numpy() for own in asked]))
    settings = runs.settings()
    settings.insert(0, "run", labels)

    written: dict[str, bytes] = {
        "runs/all.parquet": table_bytes(_table(settings.infer_objects())),
        "samples/all.parquet": table_bytes(_table(samples)),
    }
    drawn = [place for place, run in enumerate(runs) if not run.imported]
    about = card(runs, tokens=bool(drawn), columns=list(samples.columns)).encode()
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=there) as partial:
        # Token rows are many: one run at a time, on the disk.
        tokens = {f"tokens/{place:04d}.parquet": place for place in drawn}
        for name, place in tokens.items():
            rows = runs[place : place + 1].tokens().assign(run=labels[place])
            Path(partial, Path(name).name).write_bytes(table_bytes(_table(rows)))
        folder.mkdir(parents=True, exist_ok=True)
        write_target(folder / CARD, about)
        for table in TABLES:
            (folder / table).mkdir(parents=True, exist_ok=True)
            for old in (folder / table).glob("*.parquet"):
                old.unlink()
        for name, data in written.items():
            write_target(folder / name, data)
        for name in tokens:
            os.replace(Path(partial, Path(name).name), folder / name)
    return [folder / name for name in (*written, *tokens, CARD)]


def _require_own(folder: Path) -> None:
    """Raise InputError for a folder whose files are not all of an export. The card tells: it is written first."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{str(folder)!r} is a file; give a folder for the data set")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    card_there = (folder / CARD).is_file() and TAG in (folder / CARD).read_text(errors="replace").partition("\n---")[0]
    strange = [
        path.relative_to(folder).as_posix()
        for path in found
        if not path.name.startswith(_PARTIAL) and not (card_there and (path.name == CARD or path.name in TABLES))
    ]
    strange += [
        path.relative_to(folder).as_posix()
        for name in TABLES
        for path in sorted((folder / name).glob("*"))
        if path.suffix != ".parquet"
    ]
    if strange:
        raise InputError(f"{str(folder)!r} holds {strange[0]!r}, which is no part of an export; give another folder")


def _table(frame: pd.DataFrame) -> pa.Table:
    """The frame as Arrow has it: texts stay texts where all are missing, truth values and numbers where some are."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        if pd.api.types.is_bool_dtype(values.dtype):
            columns[name] = pa.array(values.to_numpy(), pa.bool_())
        elif pd.api.types.is_integer_dtype(values.dtype):
            columns[name] = pa.array(values.to_numpy(), pa.int64())
        elif pd.api.types.is_float_dtype(values.dtype):
            columns[name] = pa.array(values.to_numpy(), pa.float64())
        elif kind := _only_kind(values):
            given = [None if value is None or value != value else value for value in values.tolist()]
            columns[name] = pa.array(given, kind)
        else:
            texts = [None if value is None or value != value else str(value) for value in values.tolist()]
            columns[name] = pa.array(texts, pa.string())
    return pa.table(columns)


def _only_kind(values: pd.Series[Any]) -> pa.DataType | None:
    """The type of a column of truth values or numbers in which some are missing; None for any other."""
    kinds = {type(value) for value in values.tolist() if value is not None and value == value}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else None


# ----- the card -----

_COLUMNS = {
    "run": "label of the run among these",
    "problem_id": "unique within a task",
    "question": "of the benchmark, without the wording around it",
    "target": "of the benchmark: the right answer, or what tests it",
    "sample_index": "which sample of the problem, from 0; equal indices of two orders share their random numbers",
    "text": "what the model wrote, up to its first end",
    "extracted": "the answer that was read from it",
    "rule": "how it was read",
    "correct": "the verdict that every task gives",
    "error": "why a text could not be graded",
    "nfe": "evaluations of the model that the sample took; 0 where that is not known",
    "length": "tokens of the text; 0 where that is not known",
    "counted": "the verdict by which a sample solves its problem",
    "capped": "whether revising was ended because a block took more steps than its order said it would",
}
_TOKENS = """\
`tokens` has, of each committed position: `position` (from 0), `token_id`, `piece` (its text), `in_text` (before the end
of the text), `commit_step` (from 0), `entropy` (nats, of the untempered softmax, at commit), `prob` and `rank` of the
token (0 is the likeliest), `top_prob`, `eligible_entropy` (when the position could first be committed), `frontier_step`
and `frontier_entropy` (when it became the leftmost mask; -1 and NaN if it never was), and `passes` (steps at which
another position was committed instead). An entropy is NaN where it was not measured.
"""


def card(runs: RunSet, *, tokens: bool, columns: Sequence[str]) -> str:
    """The text of README.md: what the hub reads between the dashes, then what people read."""
    configs: list[Mapping[str, Any]] = [
        {"config_name": name, "data_files": f"{name}/*.parquet", **({"default": True} if name == "samples" else {})}
        for name in ("samples", *(("tokens",) if tokens else ()), "runs")
    ]
    models, tasks = sorted({run.model for run in runs}), sorted({run.config.task for run in runs})
    head = {"pretty_name": f"Decodes of {', '.join(models)}", "tags": ["flexeval", TAG]}
    about = {**_COLUMNS, **{name: "another verdict" for run in runs for name in run.tally() if name != CORRECT}}
    named = "\n".join(f"- `{name}`: {about[name]}" for name in columns if name in about)
    counted = [name for name in dict.fromkeys(run.counted for run in runs) if name != CORRECT]
    return f"""\
---
{yaml.safe_dump({**head, "configs": configs}, sort_keys=False, allow_unicode=True)}---

# Decodes of {_cell(", ".join(models))} on {_cell(", ".join(tasks))}

Samples of masked diffusion language models under several decoding orders, graded, with a record of how each position
was decided. Made by flexeval {flexeval.__version__}.

Questions and targets are those of the benchmarks, whose licences hold.

```python
from datasets import load_dataset

samples = load_dataset("PATH", "samples", split="train")
```

## Pass@k in percent, with 95 % intervals over problems{"; counted: " + ", ".join(counted) if counted else ""}

{_pass_table(runs)}
## Columns

`runs` has the settings of each run, `samples` one row a sample:

{named}

{_TOKENS if tokens else ""}"""


def _pass_table(runs: RunSet) -> str:
    rows = [["run", "model", "task", "problems", "n", "Pass@1", "Pass@n"], ["---"] * 7]
    for label, run in zip(runs.labels(), runs, strict=True):
        counts = run.counts()
        n = int(counts["n"].min()) if len(counts) else 0
        at = interval(pass_at_k_table(counts, default_ks(n))) if n else {}
        passed = [at[k].text(scale=100) if n else "–" for k in (1, n)]
        rows.append([label, run.model, run.config.task, str(len(run.problems)), str(n), *passed])
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
