"""The history of a canvas, from the record of a sample."""

from __future__ import annotations

import numpy as np

from flexeval.records import REVISION_COLUMNS, Trajectory


def events(trajectory: Trajectory) -> list[dict]:
    """The rows of the revisions."""
    columns = {name: getattr(trajectory.revisions, f"{name}_N").tolist() for name in REVISION_COLUMNS}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def lives(trajectory: Trajectory) -> list[tuple[int, int, int, float]]:
    """(position, token, step of its commit, step at which it was taken back) of every token that ever stood."""
    taken = [(e["position"], e["old_token"], e["commit_step"], e["step"]) for e in events(trajectory)]
    steps = trajectory.commit_step_G.tolist()
    last = [(g, int(trajectory.token_ids_G[g]), step, np.inf) for g, step in enumerate(steps) if step >= 0]
    return [*taken, *last]


def canvas_before(trajectory: Trajectory, step: int, mask: int) -> list[int]:
    """What stood on the canvas when a step began."""
    canvas = [mask] * len(trajectory.token_ids_G)
    for position, token, first, until in lives(trajectory):
        if first < step <= until:
            assert canvas[position] == mask, "two tokens at one place"
            canvas[position] = token
    return canvas
