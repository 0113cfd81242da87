"""What the `forks` model is trained on, and where a bundled model is found."""

from __future__ import annotations

import re
from pathlib import Path

import flexeval.models
from flexeval.models.forks.recipe import CANVAS, LONG_CANVAS_EVERY, PUZZLES, ForksExamples, draw_sums, forks_material
from flexeval.models.tiny.recipe.data import PAD_WEIGHT
from flexeval.tasks.drawing import Draw
from flexeval.tasks.forks import Forks

MATERIAL = forks_material(0)
TOKENIZER = MATERIAL.tokenizer


def test_every_answer_is_a_right_solution_of_a_training_puzzle_and_leaves_room_for_the_end_of_sequence() -> None:
    examples = ForksExamples(TOKENIZER, seed=3)
    held_out = {problem.id for problem in Forks(size=1000).problems()}
    for index in range(100):
        example = examples.puzzle(index)
        assert len(example.answer) < CANVAS == Forks.gen_length
        problem, solution = PUZZLES.draw(f"forks/train/3/puzzle/{index}")
        assert TOKENIZER.decode(example.answer) == solution
        assert problem.question in TOKENIZER.decode(example.prompt)
        assert problem.id not in held_out
        assert Forks().grade(problem, solution).correct


def test_every_word_and_number_is_one_token() -> None:
    for index in range(50):
        problem, solution = Forks().draw(f"tokens/{index}")
        for text in (problem.question, solution):
            pieces = re.findall(r"\w+|[^\w\s]", text)
            assert len(TOKENIZER.backend_tokenizer.encode(text, add_special_tokens=False).ids) == len(pieces)


def test_a_step_depends_on_seed_and_number_only_and_a_sixteenth_has_long_tails() -> None:
    first, again = ForksExamples(TOKENIZER, seed=0), ForksExamples(TOKENIZER, seed=0)
    again.batches(4)
    for one, other in zip(first.batches(5), again.batches(5), strict=True):
        assert one.tokens_BL.equal(other.tokens_BL)
    assert not first.batches(5)[0].tokens_BL[:, -CANVAS:].equal(first.batches(6)[0].tokens_BL[:, -CANVAS:])
    lengths = [first.batches(step)[0].weight_BG.shape[1] for step in range(LONG_CANVAS_EVERY)]
    assert lengths == [CANVAS] * (LONG_CANVAS_EVERY - 1) + [CANVAS * 3 // 2]
    assert (first.batches(0)[0].weight_BG == PAD_WEIGHT).any()


def test_sums_are_right_and_are_asked_as_they_are_answered() -> None:
    for index in range(100):
        question, answer = draw_sums(Draw(f"test/{index}"))
        answered = re.findall(r"Calculate (\d+) ([-+*]) (\d+) = (\d+)\.", answer)
        assert sorted(question.removeprefix("What is ").removesuffix("?").split(", ")) == sorted(
            f"{left} {sign} {right}" for left, sign, right, _ in answered
        )
        for left, sign, right, result in answered:
            a, b = int(left), int(right)
            assert {"+": a + b, "-": a - b, "*": a * b}[sign] == int(result)


def test_a_bundled_model_is_known_where_its_weights_are() -> None:
    folder = Path(flexeval.models.__file__).parent
    bundled = {name for name, model in flexeval.models.MODELS.usable() if model.repo is None}
    assert bundled == {path.parent.name for path in folder.glob("*/model.safetensors")}
    assert "tiny" in bundled
