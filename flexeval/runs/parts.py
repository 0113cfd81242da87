"""A run's rows in parts that fit in memory one at a time. A statistic needs memory for the run's samples, not for its
rows; only the file of words is read whole.

A part has all rows of its problems, sorted by problem, sample and position; a small run is one part. Shards are read in
the order in which they were written. Rows wait until the last sample of their problem is there: the samples of a
problem are drawn side by side, so few wait, except in a run that grew by samples.

Axis suffixes: `R` rows, `P` problems.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from flexeval.errors import DamageError
from flexeval.runs.one_pass import gone_through
from flexeval.runs.tokens import LOST, TWICE, Listed, StoredRows, problems_of_numbers

PART_ROWS = 2**20
"""A part is handed out as soon as it has so many rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts(Iterable[pd.DataFrame]):
    """Parts that are read anew each time they are gone through, or together with others (`flexeval.runs.one_pass`)."""

    source: Hashable
    """Equal where the rows are the same, whatever the columns."""
    columns: Sequence[str]
    read: Callable[[Sequence[str]], Iterator[pd.DataFrame]]
    """The parts, with these columns."""

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return gone_through(self)


def in_parts(
    shards: Iterable[StoredRows],
    listed: Listed,
    columns: Sequence[str],
    *,
    empty: pa.Schema,
    where: Path,
    part_rows: float | None = None,
) -> Iterator[pd.DataFrame]:
    """The rows of some shards in parts, at least one.

    Args:
        shards: of the listed samples, each once.
        listed: the samples.
        columns: of a part; problem_id and the columns of the shards.
        empty: the columns where there is no shard.
        where: the folder of the shards, for messages.
        part_rows: how many rows suffice for a part; None for `PART_ROWS`.

    Raises:
        DamageError: a sample is there twice, or one with a text is not there.
    """
    enough = PART_ROWS if part_rows is None else part_rows
    nothing = StoredRows(table=empty.empty_table(), number_R=np.zeros(0, np.int64), seen_S=np.zeros(0, np.int64))
    waiting: list[StoredRows] = [nothing]
    handed_out = False
    unseen_P = np.bincount(problems_of_numbers(listed.number_S), minlength=len(listed.problem_ids))
    rows_P = np.zeros_like(unseen_P)
    seen: list[NDArray[np.int64]] = []
    for shard in shards:
        unseen_P -= np.bincount(problems_of_numbers(shard.seen_S), minlength=len(unseen_P))
        if (unseen_P < 0).any():
            raise DamageError(TWICE.format(where=where))
        seen.append(shard.seen_S)
        if len(shard.number_R):
            rows_P += np.bincount(problems_of_numbers(shard.number_R), minlength=len(rows_P))
            waiting.append(shard)
        ready_P = (unseen_P == 0) & (rows_P > 0)
        if rows_P[ready_P].sum() >= enough:
            ready = [shard.where(ready_P[problems_of_numbers(shard.number_R)]) for shard in waiting]
            waiting = [shard.where(~ready_P[problems_of_numbers(shard.number_R)]) for shard in waiting]
            waiting = [nothing, *(shard for shard in waiting if len(shard.number_R))]
            rows_P[ready_P] = 0
            handed_out = True
            yield _frame(ready, listed, columns)
    _require_all(np.concatenate([nothing.seen_S, *seen]), listed, where)
    if rows_P.any() or not handed_out:
        yield _frame(waiting, listed, columns)


def _frame(shards: Sequence[StoredRows], listed: Listed, columns: Sequence[str]) -> pd.DataFrame:
    """Their rows, sorted by sample; those of a sample stay in their order."""
    number_R = np.concatenate([shard.number_R for shard in shards])
    table = pa.concat_tables([shard.table for shard in shards]).unify_dictionaries()
    if (np.diff(number_R) < 0).any():
        order_R = np.argsort(number_R, kind="stable")
        number_R, table = number_R[order_R], table.combine_chunks().take(pa.array(order_R))
    frame: pd.DataFrame = table.to_pandas()
    if "piece" in frame:
        frame["piece"] = frame["piece"].cat.remove_unused_categories()
    if "problem_id" in columns:
        place_R = problems_of_numbers(number_R)
        frame["problem_id"] = pd.Categorical.from_codes(place_R, categories=pd.Index(listed.problem_ids))
    return frame[list(columns)]


def _require_all(seen_S: NDArray[np.int64], listed: Listed, where: Path) -> None:
    """Raise DamageError unless every sample with a text is there, and none twice."""
    if len(np.unique(seen_S)) < len(seen_S):
        raise DamageError(TWICE.format(where=where))
    lost = int((~np.isin(listed.number_S, seen_S) & (listed.length_S > 0)).sum())
    if lost:
        raise DamageError(LOST.format(where=where, lost=lost))
