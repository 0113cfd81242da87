"""One step of a batch of samples: score, choose, draw, commit.

Where the lines of LLaDA's `generate` are:

    block loop, mask index           schedule.py  windows, canvas.py  CanvasBatch.eligible
    num_transfer_tokens              schedule.py  budget
    forward, cfg_scale               forward.py   Forward.start
    guided logits, logits_eos_inf    logits.py    Logits.softmax
    gumbel noise and argmax          Step._draw   (the inverse CDF instead)
    confidence, remasking            Step._score
    top-k of the confidence          Step._choose, by the order
    transfer                         Step._commit

Axis suffixes: `R` samples, `G` generated positions, `N` rows of logits, `M` readings of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flexeval.orders.order import Order, ask_positions, ask_temperature
from flexeval.records import BoolArray, DecodingState, FloatArray, IntArray, SamplingConfig
from flexeval.sampling.canvas import CanvasBatch
from flexeval.sampling.forward import Forward
from flexeval.sampling.logits import Chunk, Logits
from flexeval.sampling.randomness import Purpose, uniforms
from flexeval.sampling.softmax import Distribution, draw, temper

_MEASURES = {"top_prob": Distribution.top_prob, "margin": Distribution.margin, "entropy": Distribution.entropy}
"""Scores that are a function of the distribution at a position alone."""


class Step:
    """A step in two halves: the constructor starts the forward, `finish` does the rest when it has ended."""

    def __init__(self, batch: CanvasBatch, order: Order, config: SamplingConfig, forward: Forward) -> None:
        self._batch = batch
        self._order = order
        self._config = config
        self._predictor = forward.predictor

        # Find the positions that may be committed, and the leftmost of each sample: its frontier.
        self._rows_R = batch.rows
        self._eligible_RG = batch.eligible(self._rows_R)
        self._frontier_R = self._eligible_RG.argmax(axis=1)
        new_R = batch.record["frontier_step_G"][self._rows_R, self._frontier_R] < 0
        self._new_frontier_RG = np.zeros_like(self._eligible_RG)
        self._new_frontier_RG[np.flatnonzero(new_R), self._frontier_R[new_R]] = True

        # An order that does not read the model chooses at once, so that nothing else need be evaluated.
        self._choice: tuple[BoolArray, FloatArray] | None = None
        self._asked_RG = self._eligible_RG
        if not order.reads_model:
            self._choice = self._choose({})
            self._asked_RG = self._choice[0] | self._new_frontier_RG
        elif "drift" in order.reads:
            self._asked_RG = batch.tokens_BG[self._rows_R] == batch.mask_id

        self._logits = self._start(forward)

    def _chosen(self) -> tuple[BoolArray, FloatArray, IntArray | None]:
        """What is committed, at which temperature, and the proposals: the order's choice, made now unless it was."""
        proposal_RG = None
        if self._choice is None:
            scores = self._score()
            proposal_RG = scores.get("proposal_BG")
            self._choice = self._choose(scores)
        return *self._choice, proposal_RG

    def finish(self) -> None:
        """Choose positions, draw their tokens and commit them."""
        batch, rows_R = self._batch, self._rows_R

        commit_RG, temperature_R, proposal_RG = self._chosen()

        # Draw and commit, chunk by chunk. The record also wants the entropy of a new frontier that is not chosen.
        read_RG = commit_RG if self._order.reads_model else self._asked_RG
        for chunk in self._logits.softmax(read_RG, temperature_R):
            entropy_N = chunk.distribution.entropy()
            if not self._order.reads_model:
                self._record("frontier_entropy_G", chunk.where(self._new_frontier_RG), entropy_N)
            self._commit(chunk.where(commit_RG), proposal_RG, entropy_N)

        # Record the new frontiers, and those that were passed over.
        samples, places = np.nonzero(self._new_frontier_RG)
        batch.record["frontier_step_G"][rows_R[samples], places] = batch.step_B[rows_R[samples]]
        passed_R = ~commit_RG[np.arange(len(rows_R)), self._frontier_R]
        batch.record["passes_G"][rows_R[passed_R], self._frontier_R[passed_R]] += 1

        # Go on in the schedule, and to other random numbers where a token was proposed.
        if proposal_RG is not None:
            batch.draws_BG[rows_R] += self._eligible_RG
        batch.advance(rows_R, evaluations=2 if self._config.cfg_scale > 0 else 1)

    def cancel(self) -> None:
        """Cancel what is left of the forward."""
        self._logits.cancel()

    def _start(self, forward: Forward) -> Logits:
        """Start the forward."""
        batch, rows_R = self._batch, self._rows_R
        return forward.start(*batch.canvases(rows_R), self._asked_RG, batch.window_end_B[rows_R])

    # ----- score -----

    def _score(self) -> dict[str, NDArray[Any]]:
        """What the order reads of the model [R, G], by the names of `DecodingState`: NaN, or -1, where not eligible."""
        scores = self._blank_scores()
        opened_RG = self._opened()
        for chunk in self._logits.softmax(self._eligible_RG, self._config.temperature, keep=True):
            self._score_chunk(chunk, scores, opened_RG)
        return scores

    def _blank_scores(self) -> dict[str, NDArray[Any]]:
        """What is filled in position by position, and the drift, which is measured at once."""
        reads, shape = self._order.reads, self._eligible_RG.shape
        scores: dict[str, NDArray[Any]] = {
            f"{name}_BG": np.full(shape, np.nan, dtype=np.float32) for name in _MEASURES.keys() & reads
        }
        if "proposal" in reads:
            scores["proposal_BG"] = np.full(shape, -1, dtype=np.int64)
            scores["confidence_BG"] = np.full(shape, np.nan, dtype=np.float32)
        if self._batch.drift is not None:
            chunks = self._logits.softmax(self._asked_RG, self._config.temperature, keep=True)
            scores["drift_BGH"] = self._batch.drift.measure(self._rows_R, chunks)
        return scores

    def _opened(self) -> BoolArray:
        """The positions that become eligible at this step [R, G]."""
        return self._eligible_RG & self._batch.window_opens(self._rows_R)[:, None]

    def _score_chunk(self, chunk: Chunk, scores: dict[str, NDArray[Any]], opened_RG: BoolArray) -> None:
        """Fill in what is read at some eligible positions."""
        reads = self._order.reads
        scored = self._scored(chunk.distribution)
        for name in _MEASURES.keys() & reads:
            scores[f"{name}_BG"][chunk.at] = on_host(_MEASURES[name](scored)[chunk.rows])
        if "proposal" in reads:
            token_M = self._draw(chunk)
            scores["proposal_BG"][chunk.at] = on_host(token_M)
            scores["confidence_BG"][chunk.at] = on_host(scored.prob(token_M, chunk.rows))

        # Record the entropy of positions that become eligible or the frontier.
        entropy_N = torch.full_like(chunk.distribution.normaliser_N, torch.nan)
        rows = chunk.on_device(np.unique(chunk.where(opened_RG | self._new_frontier_RG).row_M))
        entropy_N[rows] = chunk.distribution.entropy(rows)
        self._record("eligible_entropy_G", chunk.where(opened_RG), entropy_N)
        self._record("frontier_entropy_G", chunk.where(self._new_frontier_RG), entropy_N)

    def _scored(self, distribution: Distribution) -> Distribution:
        """The distribution that scores are read from (`SamplingConfig.scored`, `confidence_eos_eot_inf`)."""
        config = self._config
        if config.scored == "sampled":
            # Dream does not temper at temperature 0, but filters all the same.
            temperature_N = np.full(len(distribution.normaliser_N), config.temperature or 1.0)
            distribution = Distribution.of(self._tempered(distribution, temperature_N).log())
        if config.confidence_eos_eot_inf:
            ends = sorted({self._predictor.eos_id, *self._predictor.stop_ids})
            gaps_NV = distribution.gaps_NV.clone()
            for end in ends:
                gaps_NV[:, end] = -torch.inf
            # Where nothing else is left, the others are equally likely, so that no position is less sure.
            gaps_NV[gaps_NV.isneginf().all(dim=-1)] = 0.0
            for end in ends:
                gaps_NV[:, end] = -torch.inf
            distribution = Distribution.of(gaps_NV)
        return distribution

    # ----- choose -----

    def _choose(self, scores: Mapping[str, NDArray[Any]]) -> tuple[BoolArray, FloatArray]:
        """The order's answers: the positions to commit [R, G], and the temperature of their draws [R]."""
        state = self._state(scores)
        return ask_positions(self._order, state), ask_temperature(self._order, state, self._config.temperature)

    def _state(self, scores: Mapping[str, NDArray[Any]]) -> DecodingState:
        """What the order sees: the state of the step and nothing else, in read-only arrays."""
        batch, rows_R, reads = self._batch, self._rows_R, self._order.reads
        arrays: dict[str, NDArray[Any]] = {
            "eligible_BG": self._eligible_RG,
            "frontier_B": self._frontier_R,
            "budget_B": np.minimum(batch.budget(rows_R), self._eligible_RG.sum(axis=1)),
            "step_B": batch.step_B[rows_R],
            "committed_B": (batch.tokens_BG[rows_R] != batch.mask_id).sum(axis=1),
            **scores,
        }
        if "uniform" in reads:
            positions = np.arange(self._eligible_RG.shape[1])
            arrays["uniform_BG"] = uniforms(batch.keys_B[rows_R][:, None], Purpose.POSITION, positions[None, :])
        if "noise" in reads:
            keys_R1, steps_R1 = batch.keys_B[rows_R][:, None], batch.step_B[rows_R][:, None]
            positions = np.arange(self._eligible_RG.shape[1])
            arrays["noise_BG"] = uniforms(keys_R1, Purpose.CHOICE, positions[None, :], steps_R1)
        if "place" in reads:
            arrays |= batch.place(rows_R)
        for array in arrays.values():
            array.flags.writeable = False
        return DecodingState(**arrays)

    # ----- draw -----

    def _draw(self, chunk: Chunk) -> Tensor:
        """Tokens [M] from the tempered distribution, each by the uniform number of its sample, position and draw."""
        weights_NV = self._tempered(chunk.distribution, chunk.temperature_N)
        row_of_batch_M = self._rows_R[chunk.canvas_M]
        draws_M = self._batch.draws_BG[row_of_batch_M, chunk.position_M]
        uniform_M = uniforms(self._batch.keys_B[row_of_batch_M], Purpose.TOKEN, chunk.position_M, draws_M)
        return draw(weights_NV, chunk.rows, chunk.on_device(uniform_M))

    def _tempered(self, distribution: Distribution, temperature_N: FloatArray) -> Tensor:
        """Weights [N, V] of the distribution that tokens are drawn from."""
        on_device_N = torch.from_numpy(temperature_N.astype(np.float32)).to(distribution.gaps_NV.device)
        return temper(distribution, on_device_N, self._config.top_p, self._config.top_k)

    # ----- commit -----

    def _commit(self, chunk: Chunk, proposal_RG: NDArray[Any] | None, entropy_N: Tensor) -> None:
        """Draw the tokens, or take the proposals, and write them into canvas and record."""
        distribution = chunk.distribution
        token_M = self._draw(chunk) if proposal_RG is None else chunk.on_device(proposal_RG[chunk.at])
        self._batch.commit(
            self._rows_R[chunk.canvas_M],
            chunk.position_M,
            on_host(token_M),
            entropy_G=on_host(entropy_N[chunk.rows]),
            prob_G=on_host(distribution.prob(token_M, chunk.rows)),
            rank_G=on_host(distribution.rank(token_M, chunk.rows)),
            top_prob_G=on_host(distribution.top_prob()[chunk.rows]),
        )

    def _record(self, name: str, chunk: Chunk, values_N: Tensor) -> None:
        """Write values of a chunk's rows into the record of the positions that read them."""
        self._batch.record[name][self._rows_R[chunk.canvas_M], chunk.position_M] = on_host(values_N[chunk.rows])


def on_host(values: Tensor) -> NDArray[Any]:
    """A tensor as an array."""
    array: NDArray[Any] = values.cpu().numpy()
    return array
