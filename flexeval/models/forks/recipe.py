"""How the `forks` model is trained from scratch: `python -m flexeval.models.forks.recipe --out DIR`.

Network, objective, optimiser and command line are those of `flexeval.models.tiny.recipe`; what is trained on is here.
Puzzles come from the `train` split of the task, each with one of its solutions, all equally likely; with them come
sums to practise. Batch n of a seed is the same in every run. `python -m flexeval.models.tiny.recipe.export
DIR/checkpoint.pt flexeval/models/forks` puts the model beside this file, where it is found as `forks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from transformers import PreTrainedTokenizerFast

from flexeval.models.tiny.recipe.data import HELD_OUT, Batch, Example, fill_batch
from flexeval.models.tiny.recipe.tokenizer import prompt_text, train_tokenizer
from flexeval.models.tiny.recipe.train import Material, command
from flexeval.tasks.drawing import Draw, Split
from flexeval.tasks.forks import Forks

STEPS = 7000

PUZZLES = Forks(split="train", min_numbers=3, max_numbers=4, max_number=9, min_goal=10, max_goal=60)
"""Said in full: the task's own defaults may move, this may not."""
CANVAS = 32
"""Answer positions of a canvas, the end of sequence among them."""
LONG_CANVAS_EVERY = 16
"""One batch in so many has a canvas of one and a half times the length, so that the model knows longer tails."""

PUZZLES_PER_BATCH, SUMS_PER_BATCH = 32, 8
FEWEST, MOST = 3, 4
"""Calculations of a set of sums."""

CORPUS_SIZE = 2000
"""Generated puzzles that the tokenizer's merges are learned from."""


class ForksExamples:
    """The stream of examples that a seed and a tokenizer define."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, *, seed: int, split: Split = "train") -> None:
        self._tokenizer = tokenizer
        self._key = f"forks/{split}/{seed}"
        self._puzzles = replace(PUZZLES, split=split)

    def batches(self, step: int) -> list[Batch]:
        """The puzzles and the sums of one training step."""
        puzzles = [self.puzzle(step * PUZZLES_PER_BATCH + i) for i in range(PUZZLES_PER_BATCH)]
        sums = [self.sums(step * SUMS_PER_BATCH + i) for i in range(SUMS_PER_BATCH)]
        long = step % LONG_CANVAS_EVERY == LONG_CANVAS_EVERY - 1
        eos = self._tokenizer.eos_token_id
        return [
            fill_batch(puzzles, CANVAS * 3 // 2 if long else CANVAS, eos),
            fill_batch(sums, max(len(example.answer) for example in sums) + 1, eos),
        ]

    def puzzle(self, index: int) -> Example:
        """The index-th puzzle."""
        problem, solution = self._puzzles.draw(f"{self._key}/puzzle/{index}")
        return Example(self._ids(prompt_text(problem.question)), self._ids(solution))

    def sums(self, index: int) -> Example:
        """The index-th set of sums."""
        question, answer = draw_sums(Draw(f"{self._key}/sums/{index}"))
        return Example(self._ids(prompt_text(question)), self._ids(answer))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def draw_sums(draw: Draw) -> tuple[str, str]:
    """A few calculations, asked in one order and answered in another; see `flexeval.models.tiny.recipe.problems`.

    Each is a step of some solution, so that what is needed most is practised most. Solutions alone teach it slowly:
    the last result can be copied from the question, and the others from the sentence that follows.
    """
    sums = [draw.pick(PUZZLES.draw_chain(draw)) for _ in range(draw.between(FEWEST, MOST))]
    question = f"What is {', '.join(f'{step.left} {step.sign} {step.right}' for step in sums)}?"
    return question, " ".join(f"Calculate {step.equation}." for step in draw.shuffled(sums))


def forks_material(seed: int) -> Material:
    """What a training with this seed sees."""
    tokenizer = train_tokenizer(_corpus())
    held_out = ForksExamples(tokenizer, seed=0, split="test")
    puzzles = fill_batch([held_out.puzzle(i) for i in range(HELD_OUT)], CANVAS, tokenizer.eos_token_id)
    return Material(tokenizer, ForksExamples(tokenizer, seed=seed), {"forks": puzzles})


def _corpus() -> Iterator[str]:
    """Puzzles, solutions and sums, and every small number, each often enough to become one token."""
    for index in range(CORPUS_SIZE):
        problem, solution = PUZZLES.draw(f"tokenizer/{index}")
        yield problem.question
        yield solution
        yield solution.replace(". ", ".")  # the first word of a text has no space before it
    for _ in range(100):
        yield from draw_sums(Draw("tokenizer"))
        yield "".join(f" {number}" for number in range(101))
        yield ",".join(str(number) for number in range(101))


if __name__ == "__main__":
    command(forks_material, steps=STEPS)
