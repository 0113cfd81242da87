"""Training examples of the bundled model, generated on the fly: batch n is the same in every run.

Word problems and Sudokus come from the `train` split of both tasks, so no test problem is ever seen; with them
come sums to practise. Word problems of a pool are sorted by prompt length before they are cut into batches,
which keeps padding small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from flexeval.models.tiny.recipe.problems import (
    FACTS,
    FACTS_WEIGHTS,
    GIVENS,
    SUDOKU,
    SUDOKU_CANVAS,
    WORDS,
    WORDS_CANVAS,
    draw_sums,
)
from flexeval.models.tiny.recipe.tokenizer import prompt_text
from flexeval.records import Problem
from flexeval.tasks.drawing import Draw, Split

WORDS_PER_BATCH, SUDOKUS_PER_BATCH, SUMS_PER_BATCH = 16, 6, 12
LONG_CANVAS_EVERY = 16
"""One batch in this many has a canvas of twice the length, so that the model also sees long tails."""
LONGEST_TAIL = 12
"""All other canvases of word problems end 1 to this many tokens after the longest answer of the batch."""
POOL = 16
"""Batches of word problems that are sorted by prompt length together."""
HELD_OUT = 64
"""Problems of a validation set."""
PAD_WEIGHT = 0.1
"""Loss weight of the end-of-sequence tokens after the first, which are easy and many."""


@dataclass(frozen=True)
class Example:
    """One problem and one worked solution, as tokens."""

    prompt: list[int]
    answer: list[int]
    """Without end of sequence."""


@dataclass(frozen=True)
class Batch:
    """Canvases of one length, prompts padded on the left."""

    tokens_BL: Tensor
    attention_BL: Tensor
    """False at the padding."""
    weight_BG: Tensor
    """Loss weight of each answer position; the answer is the last G positions of the canvas."""


class Examples:
    """The stream of examples that a seed and a tokenizer define."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, seed: int, split: Split = "train") -> None:
        self._tokenizer = tokenizer
        self._key = f"tiny/{split}/{seed}"
        self._words = {facts: replace(WORDS, split=split, facts=facts) for facts in FACTS}
        self._sudokus = {givens: replace(SUDOKU, split=split, givens=givens) for givens in GIVENS}
        self._pool = lru_cache(maxsize=2)(self._make_pool)

    def batches(self, step: int) -> list[Batch]:
        """The word problems, the Sudokus and the sums of one training step."""
        words = self._pool(step // POOL)[step % POOL]
        sudokus = [self.sudoku(step * SUDOKUS_PER_BATCH + i) for i in range(SUDOKUS_PER_BATCH)]
        sums = [self.sums(step * SUMS_PER_BATCH + i) for i in range(SUMS_PER_BATCH)]
        tail = Draw(f"{self._key}/tail/{step}").between(1, LONGEST_TAIL)
        if step % LONG_CANVAS_EVERY == LONG_CANVAS_EVERY - 1:
            words_canvas, sudoku_canvas = 2 * WORDS_CANVAS, 2 * SUDOKU_CANVAS
        else:
            words_canvas, sudoku_canvas = _longest(words) + tail, SUDOKU_CANVAS
        return [
            self.batch(words, words_canvas),
            self.batch(sudokus, sudoku_canvas),
            self.batch(sums, _longest(sums) + 1),
        ]

    def word_problem(self, index: int) -> Example:
        """The index-th word problem, with a solution that leaves room for the end of sequence."""
        attempt = 0
        while True:
            key = f"{self._key}/words/{index}/{attempt}"
            facts = Draw(f"{key}/facts").pick_weighted(FACTS, FACTS_WEIGHTS)
            example = self._encode(*self._words[facts].draw(key))
            if len(example.answer) < WORDS_CANVAS:
                return example
            attempt += 1

    def sudoku(self, index: int) -> Example:
        """The index-th Sudoku."""
        key = f"{self._key}/sudoku/{index}"
        return self._encode(*self._sudokus[Draw(f"{key}/givens").pick(GIVENS)].draw(key))

    def sums(self, index: int) -> Example:
        """The index-th problem of sums."""
        question, answer = draw_sums(Draw(f"{self._key}/sums/{index}"))
        return Example(self._ids(prompt_text(question)), self._ids(answer))

    def batch(self, examples: list[Example], gen_length: int) -> Batch:
        """Canvases of `gen_length` answer positions, as `fill_batch` makes them."""
        return fill_batch(examples, gen_length, self._tokenizer.eos_token_id)

    def _make_pool(self, pool: int) -> list[list[Example]]:
        first, size = pool * POOL * WORDS_PER_BATCH, POOL * WORDS_PER_BATCH
        examples = sorted((self.word_problem(first + i) for i in range(size)), key=lambda e: len(e.prompt))
        cut = [examples[i : i + WORDS_PER_BATCH] for i in range(0, size, WORDS_PER_BATCH)]
        return Draw(f"{self._key}/pool/{pool}").shuffled(cut)

    def _encode(self, problem: Problem, solution: str) -> Example:
        return Example(self._ids(prompt_text(problem.question)), self._ids(solution))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def held_out(tokenizer: PreTrainedTokenizerFast) -> dict[str, Batch]:
    """Problems of the test split of both tasks, with one worked solution each."""
    examples = Examples(tokenizer, seed=0, split="test")
    return {
        "word_problems": examples.batch([examples.word_problem(i) for i in range(HELD_OUT)], WORDS_CANVAS),
        "sudoku4": examples.batch([examples.sudoku(i) for i in range(HELD_OUT)], SUDOKU_CANVAS),
    }


def fill_batch(examples: list[Example], gen_length: int, eos: int) -> Batch:
    """Canvases of `gen_length` answer positions; end-of-sequence tokens fill what the answer leaves."""
    longest = max(len(example.prompt) for example in examples)
    tokens = torch.full((len(examples), longest + gen_length), eos)
    attention = torch.ones_like(tokens, dtype=torch.bool)
    weight = torch.full((len(examples), gen_length), PAD_WEIGHT)
    for row, example in enumerate(examples):
        pad = longest - len(example.prompt)
        tokens[row, pad : longest + len(example.answer)] = torch.tensor(example.prompt + example.answer)
        attention[row, :pad] = False
        weight[row, : len(example.answer) + 1] = 1.0
    return Batch(tokens, attention, weight)


def _longest(examples: list[Example]) -> int:
    return max(len(example.answer) for example in examples)
