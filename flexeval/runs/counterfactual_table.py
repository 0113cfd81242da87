"""The AR counterfactual of a run on disk: one number a text token, in one Parquet file beside the run's own files.

The file's name holds a number, which grows each time it is replaced, and the checksum of its bytes.
`flexeval.runs.counterfactual` says what the number of a token is, and computes it. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from flexeval.errors import InputError
from flexeval.runs.checksums import named_by_content
from flexeval.runs.files import replace_file
from flexeval.runs.joining import begun_shards
from flexeval.runs.layout import COUNTERFACTUAL, SampleKey
from flexeval.runs.pooling import PooledRun
from flexeval.runs.run import Run
from flexeval.runs.tokens import WORD, read_table, table_bytes
from flexeval.stats.parts import Changed, Rows, parts_of

KEYS: list[str] = ["problem_id", "sample_index", "position"]
BYTES_PER_TOKEN = 6
"""On the disk, about: the entropy, which does not compress, and keys, which do."""
SCHEMA = pa.schema(
    [
        ("problem_id", WORD),
        ("sample_index", pa.int32()),
        ("position", pa.int32()),
        ("ar_entropy", pa.float32()),  # nats
    ]
)


def has_counterfactual(run: Run) -> bool:
    """Whether the counterfactual of every sample of the run is stored."""
    return samples_of(read_rows(run)).issuperset(samples_with_text(run))


def tokens_with_counterfactual(run: Run, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The token rows of a run with one more column, `ar_entropy`.

    Args:
        run: of a folder whose counterfactual is stored.
        columns: of the token table, as `Run.tokens`; None for all. Keys come along.

    Returns:
        As `Run.tokens`; ar_entropy is NaN at rows after the end of a text.

    Raises:
        InputError: the counterfactual is not stored, or not for all samples of the run.
    """
    wanted = None if columns is None else list(dict.fromkeys([*KEYS, *columns]))
    return pd.concat(parts_of(with_counterfactual(run, run.tokens(wanted))), ignore_index=True)


def with_counterfactual(run: Run, rows: Rows) -> Rows:
    """Token rows or words of a run in parts, with one more column, `ar_entropy`.

    Args:
        run: of a folder whose counterfactual is stored.
        rows: of the run, with the columns `KEYS`; a frame or parts.

    Raises:
        InputError: as `tokens_with_counterfactual`.
    """
    stored = read_rows(run)
    missing = set(samples_with_text(run)) - samples_of(stored)
    if missing:
        raise InputError(
            f"run folder {run.folder} lacks the AR counterfactual of {len(missing)} samples; "
            f"run `flexeval entropy {run.folder} --counterfactual`"
        )
    # A view of part of the folder has fewer problems than are stored.
    problems = pd.Index(run.problems["problem_id"])
    stored["problem_id"] = stored["problem_id"].cat.set_categories(problems)
    place_R = stored["problem_id"].cat.codes.to_numpy()

    def joined(part: pd.DataFrame) -> pd.DataFrame:
        own_P = np.zeros(len(problems) + 1, dtype=np.bool_)
        own_P[part["problem_id"].cat.codes.to_numpy()] = True
        return part.merge(stored[own_P[place_R]], on=KEYS, how="left", validate="many_to_one")

    return Changed(rows, joined)


def read_rows(run: Run) -> pd.DataFrame:
    """The stored rows of a run, none where there is no file; of a pooled run those of all its parts.

    Raises:
        InputError: a file that is no such table.
    """
    if not isinstance(run, PooledRun):
        return _read(run)
    frames = []
    for first, part in run.numbered_parts():
        rows = _read(part)
        rows = rows[rows["sample_index"] < part.config.num_samples]
        frames.append(rows.assign(sample_index=(rows["sample_index"] + first).astype("int32")))
    return pd.concat(frames, ignore_index=True).astype({"problem_id": "category"})


def _read(run: Run) -> pd.DataFrame:
    return rows_in([run.folder, *begun_shards(run.folder)], key=run.key)


def rows_in(folders: Sequence[Path], *, key: str) -> pd.DataFrame:
    """The rows that are stored in folders of one run: its own, and those of its shards. A sample that several have is
    the first one's.

    Raises:
        InputError: as `read_rows`.
    """
    found = [_stored(folder, key) for folder in folders]
    taken: set[SampleKey] = set()
    for place, rows in enumerate(found[1:], start=1):
        taken |= samples_of(found[place - 1])
        if again := samples_of(rows) & taken:
            keys = pd.MultiIndex.from_frame(rows[["problem_id", "sample_index"]].astype({"problem_id": object}))
            found[place] = rows[~keys.isin(again)]
    return pd.concat(found, ignore_index=True).astype({"problem_id": "category"})


def _stored(folder: Path, key: str) -> pd.DataFrame:
    # A kill while it is replaced may leave the file before, too.
    *_, path = [None, *_files(folder, key)]
    try:
        table = SCHEMA.empty_table() if path is None else read_table(path, SCHEMA, SCHEMA.names, key=key)
    except InputError as error:
        raise InputError(f"{error}; or remove it and compute it again") from None
    frame: pd.DataFrame = table.to_pandas()
    entropy = frame["ar_entropy"].to_numpy()
    if not (np.isfinite(entropy) & (entropy >= 0)).all() or frame.duplicated(KEYS).any():
        raise InputError(f"{path}: an entropy that cannot be, or a position twice; remove it and compute it again")
    return frame


def write_rows(run: Run, rows: pd.DataFrame) -> None:
    """Replace what is stored, in one step. Raises OSError, the old file untouched."""
    data = table_bytes(pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False))
    before = _files(run.folder, run.key)
    number = 1 + int(before[-1].name.split("-")[1]) if before else 0
    name = named_by_content(f"{COUNTERFACTUAL}-{number:05d}", ".parquet", data, key=run.key)
    replace_file(run.folder / name, data)
    for path in before:
        path.unlink()


def _files(folder: Path, key: str) -> list[Path]:
    """What is stored, oldest first; without a number where there are no checksums (format 1)."""
    return sorted(folder.glob(f"{COUNTERFACTUAL}-*.parquet" if key else f"{COUNTERFACTUAL}.parquet"))


def samples_with_text(run: Run) -> list[SampleKey]:
    """The samples that can have a counterfactual: those with a text, in the order of the run."""
    listed = run.samples.loc[run.samples["length"] > 0, ["problem_id", "sample_index"]]
    return list(listed.itertuples(index=False, name=None))


def samples_of(rows: pd.DataFrame) -> set[SampleKey]:
    """The samples that some rows are of."""
    keys = rows[["problem_id", "sample_index"]].drop_duplicates()
    return set(keys.astype({"problem_id": object}).itertuples(index=False, name=None))
