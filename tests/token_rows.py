"""Token rows as run folders hold them, made by hand or from trajectories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from flexeval.records import Trajectory

MEASURED = ("commit_step", "entropy", "prob", "rank", "top_prob", "eligible_entropy", "frontier_step",
            "frontier_entropy", "passes")  # fmt: skip


def text_rows(samples: Iterable[tuple[str, int, Sequence[str]]], **columns) -> pd.DataFrame:
    """Rows of texts given as (problem, sample, pieces); other columns are repeated or given in full."""
    rows = [
        (problem, sample, position, piece)
        for problem, sample, pieces in samples
        for position, piece in enumerate(pieces)
    ]
    frame = pd.DataFrame(rows, columns=["problem_id", "sample_index", "position", "piece"])
    defaults = {"in_text": True, "commit_step": frame["position"], "frontier_step": frame["position"], "passes": 0,
                "entropy": 0.5, "rank": 0}  # fmt: skip
    return frame.assign(**{**defaults, **columns}).astype({"problem_id": "category", "piece": "category"})


def decoded_rows(trajectories: Iterable[Trajectory], pieces) -> pd.DataFrame:
    """Rows of decodes, sorted; `pieces` gives the text of each token id of a list."""
    parts = []
    for trajectory in sorted(trajectories, key=lambda t: (t.problem_id, t.sample_index)):
        committed = np.flatnonzero(trajectory.commit_step_G >= 0)
        texts = np.array(pieces(trajectory.token_ids_G.tolist()), dtype=object)
        parts.append(
            pd.DataFrame(
                {
                    "problem_id": trajectory.problem_id,
                    "sample_index": trajectory.sample_index,
                    "position": committed,
                    "token_id": trajectory.token_ids_G[committed],
                    "piece": texts[committed],
                    "in_text": committed < trajectory.length,
                    **{name: getattr(trajectory, f"{name}_G")[committed] for name in MEASURED},
                }
            )
        )
    return pd.concat(parts, ignore_index=True).astype({"problem_id": "category", "piece": "category"})
