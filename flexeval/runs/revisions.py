"""The table of what samples took back: one row a token, in Parquet files beside those of the token rows.

With the token rows, which hold the last commit of every position, it is the whole history of a canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from flexeval.errors import DamageError, encodable
from flexeval.records import REVISION_COLUMNS, SamplingConfig
from flexeval.runs.checksums import named_by_content
from flexeval.runs.files import RESTORE, replace_file
from flexeval.runs.layout import GradedSample
from flexeval.runs.tokens import WORD, read_table, require_ranges, sample_numbers, table_bytes

_MEASURED = [(name, pa.from_numpy_dtype(kind)) for name, kind in REVISION_COLUMNS.items()]
SCHEMA = pa.schema([("problem_id", WORD), ("sample_index", pa.int32()), *_MEASURED, ("old_piece", WORD)])
"""The fields of `Revisions` say what the measurements mean; `old_piece` is the text of the old token."""

RANGES: dict[str, tuple[float, float]] = {
    "sample_index": (0, np.inf),
    "step": (0, np.inf),
    "position": (0, np.inf),
    "old_token": (0, np.inf),
    "new_token": (-1, np.inf),
    "commit_step": (0, np.inf),
    "commit_entropy": (0, np.inf),
    "commit_prob": (0, 1),
    "passes": (0, np.inf),
    "entropy": (0, np.inf),
    "old_prob": (0, 1),
    "new_prob": (0, 1),
}
"""Least and largest value of each number, infinity excluded."""
MAY_LACK = ("entropy", "old_prob", "new_prob")


def write_revisions(folder: Path, number: int, samples: Sequence[GradedSample], *, key: str) -> Path:
    """Write what some samples took back; the path, which says what the file holds. See `write_shard`.

    Raises:
        OSError: it could not be written; nothing is left behind.
    """
    trajectories = [sample.trajectory for sample in samples]
    counts = [len(trajectory.revisions) for trajectory in trajectories]
    pieces = [encodable(piece) for piece in chain.from_iterable(sample.old_pieces for sample in samples)]
    problem_ids = np.repeat(np.asarray([t.problem_id for t in trajectories]), counts)
    table = pa.table(
        {
            "problem_id": pa.array(problem_ids).dictionary_encode(),
            "sample_index": np.repeat(np.asarray([t.sample_index for t in trajectories]), counts),
            **{
                name: np.concatenate([getattr(t.revisions, f"{name}_N") for t in trajectories])
                for name in REVISION_COLUMNS
            },
            "old_piece": pa.array(pieces, pa.string()).dictionary_encode(),
        },
        schema=SCHEMA,
    )
    data = table_bytes(table)
    path = folder / named_by_content(f"revised-{number:05d}", ".parquet", data, key=key)
    replace_file(path, data)
    return path


def read_revisions(
    paths: Sequence[Path],
    samples: pd.DataFrame,
    problem_ids: Sequence[str],
    *,
    sampling: SamplingConfig,
    key: str,
    where: Path,
) -> pd.DataFrame:
    """What some samples took back, sorted by problem (in the order given), sample and time.

    Args:
        paths: of the revisions.
        samples: columns problem_id and sample_index: the samples that are wanted.
        problem_ids: all problems, in order; the categories of the problem_id column.
        sampling, key, where: as `flexeval.runs.tokens.TokenShard`.

    Raises:
        DamageError: a file that is missing or not as it was written, or an impossible value.
    """
    tables = [read_table(path, SCHEMA, SCHEMA.names, key=key) for path in paths]
    table = pa.concat_tables(tables).unify_dictionaries() if tables else SCHEMA.empty_table()
    frame: pd.DataFrame = table.to_pandas()
    require_ranges({name: frame[name] for name in RANGES}, where, RANGES, MAY_LACK)
    if (frame["position"] >= sampling.gen_length).any() or (frame["step"] <= frame["commit_step"]).any():
        raise DamageError(f"{where} holds a revision of a token that no sample can have; {RESTORE}")
    frame["problem_id"] = frame["problem_id"].cat.set_categories(list(problem_ids))
    sample_R = sample_numbers(frame["problem_id"].cat.codes, frame["sample_index"])
    listed = pd.Categorical(samples["problem_id"], categories=list(problem_ids)).codes
    kept_R = np.flatnonzero(np.isin(sample_R, sample_numbers(listed, samples["sample_index"])))
    return frame.iloc[kept_R[np.argsort(sample_R[kept_R], kind="stable")]].reset_index(drop=True)
