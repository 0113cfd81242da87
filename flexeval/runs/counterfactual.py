"""The AR counterfactual of a finished run: the entropy of each text token had the text been written left to right.

For the token at position i: the entropy, in nats of the untempered softmax, at i on a canvas that holds the prompt,
the tokens before i, and masks from i on. So each token is measured twice: when its order committed it, and as AR
would have met it. For a run in AR order with one token a step the two are equal.

Samples of a problem share prefixes; each distinct prefix is evaluated once. A text position that was never committed
(only possible with `logits_mask_inf=False`) is a mask in the prefixes after it, as it was in the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from flexeval.display import notebook_bar
from flexeval.errors import InputError
from flexeval.models.predictor import MaskPredictor, fingerprint_of
from flexeval.orders import get_order
from flexeval.runs.counterfactual_table import KEYS, read_rows, samples_of, samples_with_text, write_rows
from flexeval.runs.identity import require_same_model, require_same_task, run_prompt
from flexeval.runs.layout import SampleKey, stored_problem
from flexeval.runs.run import Run
from flexeval.runs.writer import lock_run, require_checksums
from flexeval.sampling.engine import running, side_by_side
from flexeval.sampling.forward import Forward, limits_of, require_exact
from flexeval.tasks import Task
from flexeval.tasks.task import problems_of

WRITE_SECONDS = 60.0
"""A kill costs no more than this."""


def add_counterfactual(
    run: Run,
    *,
    predictor: MaskPredictor,
    task: Task,
    batch_size: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Compute what a run lacks of its counterfactual and store it in its folder; `tokens_with_counterfactual` reads it.

    Whatever ends it, calling it again continues.

    Args:
        run: whole, finished or not.
        predictor: the model of the run.
        task: the task of the run, with its data and its wording.
        batch_size: canvases per forward; None chooses for the device.
        workers: forwards side by side, as `flexeval.sampling.Sampler`.
        progress: called with the samples done and the samples in all, at the start and after every problem. None shows
            a bar in a notebook, and nothing elsewhere.

    Raises:
        InputError: an approximate cache; a folder in use; a run of an order that takes tokens back; another model,
            another task, other prompts or another dtype than the run's.
        OSError: the folder cannot be written.
    """
    require_counterfactual(run)
    with lock_run(run.folder):
        prompts = _prompts(run, predictor, task)
        stored = read_rows(run)
        wanted = samples_with_text(run)
        missing = set(wanted) - samples_of(stored)
        report = progress or notebook_bar("AR counterfactual")
        report(len(wanted) - len(missing), len(wanted))
        if not missing:
            return

        forward_batch = batch_size or limits_of(predictor).canvases
        workers = side_by_side(predictor) if workers is None else workers
        forward = Forward(predictor, run.config.sampling, batch_size=forward_batch, workers=workers)
        parts, written = [stored], time.monotonic()
        try:
            with running(predictor, workers):
                for problem_id, texts in _texts(run, missing, predictor.mask_id):
                    entropies = ar_entropies(
                        forward,
                        prompts[problem_id],
                        [text.tokens_G for text in texts],
                        run.config.sampling.gen_length,
                        batch_size=forward_batch * workers,
                    )
                    parts += [
                        _rows(problem_id, text, entropy_G) for text, entropy_G in zip(texts, entropies, strict=True)
                    ]
                    missing -= {(problem_id, text.sample_index) for text in texts}
                    report(len(wanted) - len(missing), len(wanted))
                    if time.monotonic() - written > WRITE_SECONDS:
                        write_rows(run, pd.concat(parts))
                        written = time.monotonic()
        finally:
            if len(parts) > 1:
                write_rows(run, pd.concat(parts))


def require_counterfactual(run: Run) -> None:
    """Raise InputError unless a counterfactual can be added to a run, as far as its folder tells."""
    require_exact(run.config.sampling)
    require_checksums(run.key, folder=run.folder)
    if get_order(run.config.order).revises:
        raise InputError(
            f"order {run.config.order!r} of run folder {run.folder} takes tokens back, so a token's entropy at its "
            "last commit may know of the token itself; take a run of an order that does not"
        )


def ar_entropies(
    forward: Forward,
    prompt_ids: Sequence[int],
    texts: Sequence[NDArray[np.int64]],
    gen_length: int,
    *,
    batch_size: int,
) -> list[NDArray[np.float32]]:
    """The entropy of each position of some texts given the prompt, the tokens before it and masks after it; nats.

    Args:
        forward: of the model, with the run's settings (guidance, suppressed tokens).
        prompt_ids: the prompt that the texts answer.
        texts: the tokens of each.
        gen_length: of the run's canvas.
        batch_size: canvases at a time.

    Returns:
        Of each text, as many numbers as it has positions.
    """
    # The distinct prefixes, as nodes of a tree: 0 is the empty prefix.
    children: dict[tuple[int, int], int] = {}
    prefixes: dict[int, NDArray[np.int64]] = {}
    nodes: list[list[int]] = []
    for text in texts:
        node, path = 0, []
        for position, token in enumerate(text.tolist()):
            prefixes.setdefault(node, text[:position])
            path.append(node)
            node = children.setdefault((node, token), len(children) + 1)
        nodes.append(path)

    # Each prefix on a canvas of its own, a batch at a time.
    entropy_of: dict[int, float] = {}
    wanted = list(prefixes)
    for start in range(0, len(wanted), batch_size):
        batch = wanted[start : start + batch_size]
        entropies = _entropies(forward, prompt_ids, [prefixes[node] for node in batch], gen_length)
        entropy_of.update(zip(batch, entropies.tolist(), strict=True))
    return [np.array([entropy_of[node] for node in path], dtype=np.float32) for path in nodes]


@torch.inference_mode()
def _entropies(
    forward: Forward, prompt_ids: Sequence[int], prefixes: Sequence[NDArray[np.int64]], gen_length: int
) -> NDArray[np.float32]:
    """The entropy at the position after each prefix; the prefixes differ."""
    canvases = np.full((len(prefixes), len(prompt_ids) + gen_length), forward.predictor.mask_id, dtype=np.int64)
    canvases[:, : len(prompt_ids)] = prompt_ids
    for canvas_L, prefix in zip(canvases, prefixes, strict=True):
        canvas_L[len(prompt_ids) : len(prompt_ids) + len(prefix)] = prefix
    asked_RG = np.arange(gen_length) == np.array([len(prefix) for prefix in prefixes])[:, None]
    logits = forward.start(canvases, np.ones(canvases.shape, dtype=bool), asked_RG)
    # A prefix that holds a mask can leave a canvas equal to a shorter prefix's; then they share its evaluation.
    entropy_R = np.empty(len(prefixes), dtype=np.float32)
    for chunk in logits.softmax(asked_RG):
        entropy_R[chunk.canvas_M] = chunk.distribution.entropy()[chunk.rows].cpu().numpy()
    return entropy_R


@dataclass(frozen=True, kw_only=True, eq=False)
class _Text:
    """The tokens of one sample's text."""

    sample_index: int
    tokens_G: NDArray[np.int64]
    """Up to the end of the text; the mask token where nothing was committed."""


def _texts(run: Run, missing: set[SampleKey], mask_id: int) -> Iterator[tuple[str, list[_Text]]]:
    """The texts of some samples, problem by problem."""
    tokens = run.tokens([*KEYS, "token_id", "in_text"])
    tokens = tokens[tokens["in_text"]].reset_index(drop=True)
    position_R, token_R = tokens["position"].to_numpy(), tokens["token_id"].to_numpy()
    rows_of = tokens.groupby(["problem_id", "sample_index"], observed=True).indices
    listed = run.samples[["problem_id", "sample_index", "length"]].itertuples(index=False, name=None)
    for problem_id, of_problem in groupby(listed, key=lambda sample: str(sample[0])):
        texts = []
        for _, sample_index, length in of_problem:
            if (problem_id, sample_index) in missing:
                rows = rows_of.get((problem_id, sample_index), [])
                tokens_G = np.full(length, mask_id, dtype=np.int64)
                tokens_G[position_R[rows]] = token_R[rows]
                texts.append(_Text(sample_index=sample_index, tokens_G=tokens_G))
        if texts:
            yield problem_id, texts


def _rows(problem_id: str, text: _Text, entropy_G: NDArray[np.float32]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "problem_id": problem_id,
            "sample_index": np.int32(text.sample_index),
            "position": np.arange(len(entropy_G), dtype=np.int32),
            "ar_entropy": entropy_G,
        }
    )


def _prompts(run: Run, predictor: MaskPredictor, task: Task) -> dict[str, list[int]]:
    """The prompt of each problem, if model, task and wording are the run's."""
    dtype, where = str(predictor.dtype).removeprefix("torch."), f"run folder {run.folder}"
    require_same_model(run.record, fingerprint_of(predictor).as_dict(), dtype=dtype, folder=where)
    require_same_task(run.config, task, folder=run.folder)
    hashes = dict(zip(run.problems["problem_id"], run.problems["prompt_hash"], strict=True))
    prompts = {}
    for problem in problems_of(task):
        if problem.id in hashes:
            prompts[problem.id] = predictor.encode(run_prompt(run.config, task, problem))
            if stored_problem(problem, prompts[problem.id]).prompt_hash != hashes[problem.id]:
                raise InputError(
                    f"run folder {run.folder} was made with another prompt of problem {problem.id!r}; use the model, "
                    "the data and the wording that it was made with"
                )
    for problem_id in hashes:
        if problem_id not in prompts:
            raise InputError(
                f"run folder {run.folder} was made from other data: problem {problem_id!r} is not in task "
                f"{run.config.task!r} as it is now; use the data that it was made from"
            )
    return prompts
