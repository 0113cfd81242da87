"""What is known of a finished sample: how each position was decided, what was taken back, and its text.

Axis suffix: `G` generated positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flexeval import display
from flexeval.errors import shortened

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class Revisions:
    """The tokens that a sample took back, one entry each, by step and position: masked again, or rewritten.

    With the trajectory, which keeps the last commit of every position, they are the whole history of a canvas.
    """

    step_N: NDArray[np.int32]
    """0-based step at which the token was taken back."""
    position_N: NDArray[np.int32]
    old_token_N: NDArray[np.int32]
    new_token_N: NDArray[np.int32]
    """What it was rewritten to; -1 where the position was masked again."""
    commit_step_N: NDArray[np.int32]
    """Step at which the old token was committed."""
    commit_entropy_N: NDArray[np.float32]
    """Nats of the untempered softmax at that commit."""
    commit_prob_N: NDArray[np.float32]
    """Untempered probability of the old token at that commit."""
    passes_N: NDArray[np.int32]
    """How often the position had been passed over as the frontier by then."""
    entropy_N: NDArray[np.float32]
    """Nats of the distribution that was looked at when the token was taken back; NaN where none was."""
    old_prob_N: NDArray[np.float32]
    """Untempered probability of the old token in it."""
    new_prob_N: NDArray[np.float32]
    """Untempered probability of the new token in it; NaN where the position was masked again."""

    def __len__(self) -> int:
        return len(self.step_N)

    @classmethod
    def of(cls, rows: Sequence[tuple[float, ...]]) -> Revisions:
        """From one tuple an entry, in the order of the fields."""
        columns = list(zip(*rows, strict=True)) or [()] * len(REVISION_COLUMNS)
        return cls(
            **{
                f"{name}_N": np.array(column, dtype=kind)
                for (name, kind), column in zip(REVISION_COLUMNS.items(), columns, strict=True)
            }
        )


REVISION_COLUMNS: Mapping[str, Any] = {
    "step": np.int32,
    "position": np.int32,
    "old_token": np.int32,
    "new_token": np.int32,
    "commit_step": np.int32,
    "commit_entropy": np.float32,
    "commit_prob": np.float32,
    "passes": np.int32,
    "entropy": np.float32,
    "old_prob": np.float32,
    "new_prob": np.float32,
}
"""The fields of `Revisions` without their axis, in order, and their types."""
NO_REVISIONS = Revisions.of([])


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """One finished sample: the record of how each generated position was decided.

    All arrays have length `gen_length`. Positions that were never committed (the sample left at its EOS)
    hold the mask id and -1 or NaN. Where an order revises, a position may be committed several times: "committed" then
    means the last time, of the token that stands, and `revisions` has the times before.
    """

    problem_id: str
    sample_index: int
    prompt_length: int
    """Tokens of the prompt, padding excluded."""
    token_ids_G: NDArray[np.int32]
    length: int
    """Tokens before the first end-of-sequence or end-of-turn: the text. `gen_length` when there is none."""
    commit_step_G: NDArray[np.int32]
    """0-based step at which the position was committed."""
    nfe: int
    """Mask-predictor evaluations that this sample needed; guidance counts two per step."""
    entropy_G: NDArray[np.float32]
    """Nats of the untempered softmax, when the position was committed."""
    prob_G: NDArray[np.float32]
    """Untempered probability of the committed token at that moment."""
    rank_G: NDArray[np.int32]
    """Rank of the committed token at that moment: 0 is the likeliest."""
    top_prob_G: NDArray[np.float32]
    """Untempered probability of the likeliest token at that moment."""
    eligible_entropy_G: NDArray[np.float32]
    """Entropy when the position first became eligible; NaN where the order did not have it computed then."""
    frontier_step_G: NDArray[np.int32]
    """Step at which the position became the frontier; -1 if it never was."""
    frontier_entropy_G: NDArray[np.float32]
    """Entropy at that step."""
    passes_G: NDArray[np.int32]
    """Steps at which the position was the frontier and something else was committed instead."""
    revisions: Revisions = NO_REVISIONS
    """What was taken back; nothing under orders that do not revise."""
    capped: bool = False
    """Whether revising was ended because a block took more steps than its order said it would."""

    def __repr__(self) -> str:
        committed = int((self.commit_step_G >= 0).sum())
        return (
            f"Trajectory(problem {self.problem_id!r}, sample {self.sample_index}: {self.length} tokens of text, "
            f"{committed} of {len(self.token_ids_G)} positions committed, NFE {self.nfe})"
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A finished text and how it was decoded. A notebook shows it in colour."""

    text: str
    """Up to the first end-of-sequence or end-of-turn."""
    pieces: Sequence[str] = field(repr=False)
    """What each generated position adds to the text of the canvas; as many as the trajectory has positions, and "" at
    those that were never committed. Those of the text join to it."""
    trajectory: Trajectory

    def to_frame(self) -> pd.DataFrame:
        """One row a committed position, in the columns of a run's token table (`Run.tokens`).

        Returns:
            problem_id, sample_index, position (from 0), token_id, piece (the text that the token adds), in_text (before
            the end of the text), commit_step (from 0), entropy (nats, at commit), prob (of the token at commit), rank
            (0 is the likeliest token), top_prob, eligible_entropy, frontier_step (when it became the leftmost mask; -1
            if never), frontier_entropy, passes (steps at which it was passed over while it was the leftmost mask).
        """
        import pandas as pd

        of = self.trajectory
        positions = np.flatnonzero(of.commit_step_G >= 0)
        named = {
            "problem_id": pd.Categorical([of.problem_id] * len(positions), categories=[of.problem_id]),
            "sample_index": np.full(len(positions), of.sample_index, dtype=np.int32),
            "position": positions.astype(np.int32),
            "token_id": of.token_ids_G[positions],
            "piece": pd.Categorical([self.pieces[position] for position in positions.tolist()]),
            "in_text": positions < of.length,
        }
        return pd.DataFrame({**named, **{name: getattr(of, f"{name}_G")[positions] for name in _MEASURED}})

    def __repr__(self) -> str:
        return f"Sample({shortened(self.text, 60)!r}: {self.trajectory.length} tokens, NFE {self.trajectory.nfe})"

    def _repr_html_(self) -> str:
        of, shown = self.trajectory, slice(0, self.trajectory.length)
        committed_G = of.commit_step_G >= 0
        notes = [
            f"{piece!r}: step {step}, entropy {entropy:.3f} nats, rank {rank}, passed over {passes} times"
            if step >= 0
            else "never committed"
            for piece, step, entropy, rank, passes in zip(
                self.pieces, of.commit_step_G, of.entropy_G, of.rank_G, of.passes_G, strict=True
            )
        ]
        parts = [
            display.facts({"problem": of.problem_id, "sample": of.sample_index, "tokens": of.length, "NFE": of.nfe})
        ]
        for title, values_G in (("entropy at commit, nats", of.entropy_G), ("commit step", of.commit_step_G)):
            values = np.where(committed_G, values_G.astype(np.float64), np.nan)[shown]
            highest = float(np.nanmax(values, initial=0.0))
            parts.append(display.legend(f"{title} (dotted: passed over)", highest))
            passed = (of.passes_G[shown] > 0).tolist()
            parts.append(display.tokens(self.pieces[shown], values.tolist(), notes[shown], passed, highest=highest))
        return display.block(*parts)


_MEASURED = (
    "commit_step", "entropy", "prob", "rank", "top_prob", "eligible_entropy", "frontier_step", "frontier_entropy",
    "passes",
)  # fmt: skip
"""The measurements of a `Trajectory` in the order of the token table's columns."""


@dataclass(frozen=True, kw_only=True)
class SamplingEffort:
    """What it took to sample: totals of a run, or of a part of it."""

    samples: int = 0
    """Finished samples that the other numbers are about."""
    seconds: float = 0.0
    """Wall-clock time inside the sampler; grading and writing are left out."""
    evaluations: int = 0
    """Mask-predictor evaluations that the samples asked for."""
    distinct: int = 0
    """Evaluations that were computed, after equal canvases were merged."""

    @property
    def saved(self) -> float | None:
        """The share of evaluations that merging saved, a fraction; None when nothing was evaluated."""
        return 1 - self.distinct / self.evaluations if self.evaluations else None

    @property
    def samples_per_second(self) -> float | None:
        """None when nothing was sampled."""
        return self.samples / self.seconds if self.seconds else None
