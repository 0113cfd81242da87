"""In which block of its canvas a token stands: columns of the token rows that are computed, not stored.

Axis suffixes: `R` rows, `P` problems, `U` canvases whose blocks begin at other places, `G` generated positions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flexeval.models.attention import FULL, Attention, parse_attention
from flexeval.models.names import MODELS
from flexeval.records import RunConfig, SamplingConfig

BLOCK_COLUMNS = ("block", "in_block")
"""The number of the block that a position was filled in, and its place there, both from 0. Where the model counts
blocks from the prompt's first token, the prompt's tail may have begun the first: then places count from there.
"""


def attention_of_record(record: Mapping[str, Any], config: RunConfig) -> Attention:
    """The attention rule of a run's model; of a run of an earlier version, which did not record it, what its settings
    or the model's short name say.
    """
    if (rule := record.get("attention_rule")) is not None:
        return Attention(**rule)
    known = config.attention or _of_short_name((record.get("lineage") or {}).get("base", config.model))
    return parse_attention(known) if known else FULL


@functools.cache
def _of_short_name(model: str) -> str | None:
    known = dict(MODELS.usable()).get(model)
    return known.attention if known else None


def block_starts(
    prompt_length_P: Sequence[int], sampling: SamplingConfig, attention: Attention
) -> tuple[list[list[int]], NDArray[np.intp]]:
    """Where the blocks begin in which canvases are filled, as `Attention.filled_blocks` gives it.

    Args:
        prompt_length_P: tokens of the prompt of each problem.
        sampling: of the run.
        attention: the rule of its model.

    Returns:
        (the different canvases, which of them each problem has).
    """
    # It depends on the prompt's tail alone.
    tail_U, canvas_P = np.unique([attention.shared(length) for length in prompt_length_P], return_inverse=True)
    starts = [attention.filled_blocks(tail, sampling.gen_length, sampling.block) for tail in tail_U.tolist()]
    return starts, canvas_P


def with_blocks(
    rows: pd.DataFrame, prompt_length_P: Sequence[int], sampling: SamplingConfig, attention: Attention
) -> pd.DataFrame:
    """Token rows with `BLOCK_COLUMNS`.

    Args:
        rows: with the columns problem_id, whose categories are the problems of the run in order, and position.
        prompt_length_P, sampling, attention: as `block_starts`.
    """
    starts, canvas_P = block_starts(prompt_length_P, sampling, attention)
    block_UG = np.stack([np.searchsorted(own, np.arange(sampling.gen_length), side="right") - 1 for own in starts])
    start_UG = np.stack([np.asarray(own)[block_G] for own, block_G in zip(starts, block_UG, strict=True)])
    position_R = rows["position"].to_numpy()
    canvas_R = canvas_P[rows["problem_id"].cat.codes.to_numpy()]
    return rows.assign(block=block_UG[canvas_R, position_R], in_block=position_R - start_UG[canvas_R, position_R])
