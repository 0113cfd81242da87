"""log p(continuation | context) of a mask predictor: the exact chain in AR order, or LLaDA's Monte Carlo bound.

Knows token ids, not texts and not lm-eval. Long texts are cut into windows of the model's context.

Axis suffixes: `R` canvases, `L` canvas positions, `G` positions after the context, `T` tokens of a continuation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby, islice
from typing import Any

import numpy as np
import torch
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from numpy.typing import NDArray

from flexeval.errors import InputError
from flexeval.lm_harness.cache import AnswerCache
from flexeval.models import check_fits
from flexeval.models.predictor import MaskPredictor
from flexeval.records import SamplingConfig
from flexeval.sampling.forward import Forward, limits_of
from flexeval.sampling.randomness import Purpose, sample_key, uniforms

SCORING_FIELDS = ("cfg_scale", "logits_mask_inf", "logits_eos_inf", "batch_invariant", "seed")
"""The fields of `SamplingConfig` that a score depends on. Scores use the untempered distribution."""


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """A text to score."""

    context_ids: Sequence[int]
    token_ids: Sequence[int]
    positions: int
    """Generated positions of its canvas, at least one per token; positions after the tokens stay masked."""


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """The score of one continuation."""

    log_prob: float
    """Nats."""
    greedy: bool
    """Whether decoding in AR order at temperature 0 gives these tokens."""


@dataclass(frozen=True, kw_only=True)
class _Canvas:
    """One evaluation, and what is read off it."""

    owner: int
    """Index of the continuation."""
    masked_T: NDArray[np.bool_]
    """Which of the continuation's tokens are hidden."""
    read_T: NDArray[np.int64]
    """Tokens whose probability is read."""
    weight: float = 1.0
    """The factor of their sum in the continuation's score."""


class Scorer:
    """Scores continuations. Except for rounding, a score does not depend on what else is scored."""

    def __init__(
        self,
        predictor: MaskPredictor,
        sampling: SamplingConfig,
        *,
        mc_num: int | None = None,
        batch_size: int | None = None,
        workers: int = 1,
    ) -> None:
        """
        Args:
            predictor: the model.
            sampling: its `SCORING_FIELDS` are read; the seed is the bound's.
            mc_num: draws of the Monte Carlo bound; None computes the exact chain.
            batch_size: canvases at a time; None chooses for the device.
            workers: forwards side by side, each in a thread of its own.
        """
        self.cache = AnswerCache(None)
        self._predictor = predictor
        self._seed = sampling.seed
        self._mc_num = mc_num
        # The chain draws nothing.
        self._settings = {
            name: getattr(sampling, name) for name in SCORING_FIELDS if name != "seed" or mc_num is not None
        }
        limits = limits_of(predictor)
        self._batch_size = batch_size or limits.samples
        forward_batch = min(self._batch_size, limits.canvases)
        self._forward = Forward(predictor, sampling, batch_size=forward_batch, workers=workers)

    def score(
        self, continuations: Sequence[Continuation], done: Callable[[int, Likelihood], None] | None = None
    ) -> list[Likelihood]:
        """The score of each continuation, in their order.

        The chain is sum_i log p(x_i | context, x_<i, masks from i on): what the `ar` order draws with, one evaluation
        a token. The bound is LLaDA's (arXiv:2502.09992, eq. 6): the mean over draws of T / l times the summed
        log-probabilities of l masked tokens given the others, with l uniform in 1..T and the masked tokens uniform
        among the sets of that size; one evaluation a draw, and for the greedy flag one a token, up to the first that
        is not greedy.

        A score that the cache holds is not computed again.

        Args:
            continuations: what to score.
            done: told each index and score as soon as it is known.

        Raises:
            InputError: a canvas that does not fit the model's context.
        """
        for continuation in continuations:
            check_fits(self._predictor, len(continuation.context_ids), continuation.positions)
        report = done or (lambda _index, _score: None)
        keys = [self._key(continuation) for continuation in continuations]
        scores: dict[int, Likelihood] = {}
        for index, key in enumerate(keys):
            if (stored := self.cache.get(key)) is not None:
                log_prob, greedy = stored
                scores[index] = Likelihood(log_prob=log_prob, greedy=greedy)
            elif not continuations[index].token_ids:
                scores[index] = Likelihood(log_prob=0.0, greedy=True)
        for index, score in scores.items():
            report(index, score)

        # Canvases of one shape go together, and within it those of one context, since these may be equal.
        missing = set(range(len(continuations))) - scores.keys()
        order = sorted(missing, key=lambda i: _shape(continuations[i]))
        try:
            for _, group in groupby(order, key=lambda i: continuations[i].positions):
                for index, score in self._score_group(continuations, list(group)):
                    self.cache.put(keys[index], (score.log_prob, score.greedy))
                    scores[index] = score
                    report(index, score)
        finally:
            # The weights may be others when it is called again.
            self._forward.forget()
        return [scores[i] for i in range(len(continuations))]

    def _key(self, continuation: Continuation) -> str:
        return self.cache.key(
            "score",
            self._mc_num,
            self._settings,
            list(continuation.context_ids),
            list(continuation.token_ids),
            continuation.positions,
        )

    def _score_group(self, continuations: Sequence[Continuation], group: list[int]) -> Iterator[tuple[int, Likelihood]]:
        """(index, score) of continuations with equally many generated positions."""
        if self._mc_num is None:
            links = (link for i in group for link in _chain(i, continuations[i]))
            for index, log_prob, greedy in self._read(continuations, links):
                yield index, Likelihood(log_prob=log_prob, greedy=greedy)
            return
        flags = self._greedy(continuations, group)
        draws = (draw for i in group for draw in _draws(i, continuations[i], self._mc_num, self._seed))
        for index, bound, _ in self._read(continuations, draws):
            yield index, Likelihood(log_prob=bound, greedy=flags[index])

    def _greedy(self, continuations: Sequence[Continuation], group: list[int]) -> dict[int, bool]:
        """Which texts are the greedy AR texts; each is checked up to its first token that is not greedy."""
        flags = dict.fromkeys(group, True)
        step, alive = 0, group
        while alive:
            links = [_link(i, continuations[i], step) for i in alive]
            flags |= {i: greedy for i, _, greedy in self._read(continuations, links)}
            step += 1
            alive = [i for i in alive if flags[i] and step < len(continuations[i].token_ids)]
        return flags

    def _read(
        self, continuations: Sequence[Continuation], canvases: Iterable[_Canvas]
    ) -> Iterator[tuple[int, float, bool]]:
        """For each owner: the weighted sum of its log-probabilities, and whether all its tokens are the likeliest.

        The canvases of one owner must stand side by side.
        """
        readings = self._evaluated(continuations, canvases)
        for owner, own in groupby(readings, key=lambda reading: reading[0].owner):
            total, greedy = 0.0, True
            for canvas, log_probs, likeliest in own:
                total += canvas.weight * float(log_probs.sum(dtype=np.float64))
                greedy &= bool(likeliest.all())
            yield owner, total, greedy

    def _evaluated(
        self, continuations: Sequence[Continuation], canvases: Iterable[_Canvas]
    ) -> Iterator[tuple[_Canvas, NDArray[Any], NDArray[Any]]]:
        """Each canvas with log-probability and likeliness of the tokens that are read off it."""
        source = iter(canvases)
        while batch := list(islice(source, self._batch_size)):
            log_probs, likeliest = self._evaluate([continuations[canvas.owner] for canvas in batch], batch)
            yield from zip(batch, log_probs, likeliest, strict=True)

    @torch.inference_mode()
    def _evaluate(
        self, owners: list[Continuation], batch: list[_Canvas]
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        positions = owners[0].positions
        rows = [_tokens(o, canvas.masked_T, self._predictor.mask_id) for o, canvas in zip(owners, batch, strict=True)]
        length = max(map(len, rows))
        tokens_RL = np.full((len(rows), length), self._predictor.mask_id, dtype=np.int64)
        attended_RL = np.zeros((len(rows), length), dtype=np.bool_)
        for row, tokens in enumerate(rows):
            tokens_RL[row, length - len(tokens) :] = tokens
            attended_RL[row, length - len(tokens) :] = True
        asked_RG = np.zeros((len(rows), positions), dtype=np.bool_)
        for asked_G, canvas in zip(asked_RG, batch, strict=True):
            asked_G[canvas.read_T] = True
        logits = self._forward.start(tokens_RL, attended_RL, asked_RG)

        # Read the tokens' log-probabilities, those of equal canvases off the same rows.
        token_RG = np.zeros((len(rows), positions), dtype=np.int64)
        for token_G, owner in zip(token_RG, owners, strict=True):
            token_G[: len(owner.token_ids)] = owner.token_ids
        log_prob_RG = np.empty((len(rows), positions), dtype=np.float32)
        likeliest_RG = np.empty((len(rows), positions), dtype=np.bool_)
        for chunk in logits.softmax(asked_RG):
            distribution, token = chunk.distribution, chunk.on_device(token_RG[chunk.at])
            # From the logits, since a probability this small may be zero in float32.
            log_prob = distribution.gaps_NV[chunk.rows, token] - distribution.normaliser_N[chunk.rows].log()
            log_prob_RG[chunk.at] = log_prob.cpu().numpy()
            likeliest_RG[chunk.at] = (distribution.top_token()[chunk.rows] == token).cpu().numpy()
        reads = [canvas.read_T for canvas in batch]
        return (
            [log_prob_G[read_T] for log_prob_G, read_T in zip(log_prob_RG, reads, strict=True)],
            [likeliest_G[read_T] for likeliest_G, read_T in zip(likeliest_RG, reads, strict=True)],
        )


def _shape(continuation: Continuation) -> tuple[int, int, tuple[int, ...]]:
    return continuation.positions, len(continuation.context_ids), tuple(continuation.context_ids)


def _tokens(continuation: Continuation, masked_T: NDArray[np.bool_], mask_id: int) -> NDArray[np.int64]:
    """The canvas: context, the tokens that are not hidden, masks."""
    shown_T = np.where(masked_T, mask_id, np.asarray(continuation.token_ids, dtype=np.int64))
    after = np.full(continuation.positions - len(shown_T), mask_id, dtype=np.int64)
    return np.concatenate([np.asarray(continuation.context_ids, dtype=np.int64), shown_T, after])


def _link(owner: int, continuation: Continuation, step: int) -> _Canvas:
    """The canvas that gives token `step` of the chain."""
    masked_T = np.arange(len(continuation.token_ids)) >= step
    return _Canvas(owner=owner, masked_T=masked_T, read_T=np.array([step], dtype=np.int64))


def _chain(owner: int, continuation: Continuation) -> Iterator[_Canvas]:
    return (_link(owner, continuation, step) for step in range(len(continuation.token_ids)))


def _draws(owner: int, continuation: Continuation, mc_num: int, seed: int) -> Iterator[_Canvas]:
    """The canvases of the bound.

    The numbers of masked tokens are a systematic sample: evenly spread over 1..T from one random start, each uniform by
    itself. The random numbers are a function of seed and context, so the choices of one question share them.
    """
    length = len(continuation.token_ids)
    context = blake2b(repr(list(continuation.context_ids)).encode(), digest_size=8).hexdigest()
    key = np.array(sample_key(seed, context, 0), dtype=np.uint64)
    start = float(uniforms(key, Purpose.TOKEN, np.array(0)))
    for draw in range(mc_num):
        count = min(1 + int((start + draw / mc_num) % 1.0 * length), length)
        uniform_T = uniforms(key, Purpose.POSITION, np.arange(length), draw)
        read_T = np.sort(np.argsort(uniform_T, kind="stable")[:count])
        masked_T = np.isin(np.arange(length), read_T)
        yield _Canvas(owner=owner, masked_T=masked_T, read_T=read_T, weight=length / count / mc_num)


def on_canvas(context_ids: Sequence[int], token_ids: Sequence[int], *, gen_length: int | None) -> Continuation:
    """A text given its context.

    Args:
        context_ids: what stands before it.
        token_ids: the text.
        gen_length: generated positions of its canvas, more where the text is longer; None takes as many as it has
            tokens.
    """
    positions = max(len(token_ids), gen_length or 1)
    return Continuation(context_ids=tuple(context_ids), token_ids=tuple(token_ids), positions=positions)


def rolling(token_ids: Sequence[int], *, prefix_id: int, max_length: int, gen_length: int | None) -> list[Continuation]:
    """Windows that hold every token of a text once, each after as much context as fits before its canvas.

    Args:
        token_ids: the text.
        prefix_id: what its first token is conditioned on.
        max_length: longest canvas, context included; more than `gen_length`.
        gen_length: as for `on_canvas`.

    Raises:
        InputError: a context too short for two tokens.
    """
    if max_length < 2:
        raise InputError(
            f"the model has a context of {max_length} positions, and a text needs 2: one to begin with, one to score; "
            "use another model"
        )
    # A window holds its context and its tokens; lm-eval counts without the last one.
    cuts = get_rolling_token_windows(
        token_list=list(token_ids), prefix_token=prefix_id, max_seq_len=max_length - 1, context_len=1
    )
    windows = []
    for context_ids, own_ids in map(make_disjoint_window, cuts):
        room = max_length - on_canvas(context_ids, own_ids, gen_length=gen_length).positions
        windows.append(on_canvas(context_ids[-room:], own_ids, gen_length=gen_length))
    return windows
