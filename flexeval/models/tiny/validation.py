"""The validation bound: LLaDA's objective on held-out problems under masks that are the same every time."""

from __future__ import annotations

from dataclasses import replace

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from flexeval.models.tiny.data import Batch, Examples
from flexeval.models.tiny.objective import Masking, draw_masking, masked_loss
from flexeval.models.tiny.problems import SUDOKU_CANVAS, WORDS_CANVAS

PROBLEMS, DRAWS = 64, 4


class Validation:
    """Problems of the test split with one worked solution each, and a few draws of masks for them."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._mask_id: int = tokenizer.mask_token_id
        examples = Examples(tokenizer, seed=0, split="test")
        words = examples.batch([examples.word_problem(i) for i in range(PROBLEMS)], WORDS_CANVAS)
        sudokus = examples.batch([examples.sudoku(i) for i in range(PROBLEMS)], SUDOKU_CANVAS)
        generator = torch.Generator().manual_seed(0)
        self._sets = {
            "word_problems": _with_masks(words, generator),
            "sudoku4": _with_masks(sudokus, generator),
        }

    @torch.no_grad()
    def bounds(self, network: LlamaForCausalLM) -> dict[str, float]:
        """The bound on the negative log-likelihood by task: nats per answer token, the end of sequence included."""
        bounds = {}
        for task, draws in self._sets.items():
            loss = sum(float(masked_loss(network, batch, masking, self._mask_id)) for batch, masking in draws)
            bounds[task] = loss / sum(2 * float(batch.weight_BG.sum()) for batch, _ in draws)
        return bounds


def _with_masks(batch: Batch, generator: torch.Generator) -> list[tuple[Batch, Masking]]:
    # The padding after the first end of sequence is no part of the answer.
    answer_BG = (batch.weight_BG == 1.0).float()
    answer_only = replace(batch, weight_BG=answer_BG)
    rows, gen_length = answer_BG.shape
    return [(answer_only, draw_masking(rows, gen_length, generator)) for _ in range(DRAWS)]
