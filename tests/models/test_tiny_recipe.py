"""The recipe of the bundled model: tokenizer, objective, optimiser, resuming, export."""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from precision import assert_equal_but_rounding
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from flexeval.errors import InputError
from flexeval.models.loading import load_model
from flexeval.models.tiny.recipe import data, train
from flexeval.models.tiny.recipe.data import Batch, Examples
from flexeval.models.tiny.recipe.export import export
from flexeval.models.tiny.recipe.muon import orthogonalise
from flexeval.models.tiny.recipe.objective import SMALLEST_RATIO, draw_masking, masked_loss
from flexeval.models.tiny.recipe.problems import SUDOKU_CANVAS, WORDS, WORDS_CANVAS, draw_sums
from flexeval.models.tiny.recipe.tokenizer import prompt_text, train_tokenizer
from flexeval.models.tiny.recipe.train import build_network
from flexeval.tasks.drawing import Draw, split_of
from flexeval.tasks.sudoku4 import Sudoku4
from flexeval.tasks.word_problems import WordProblems

TOKENIZER = train_tokenizer()


def ids_of(text: str) -> list[int]:
    ids: list[int] = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    return ids


# Tokenizer


@given(st.text())
@settings(max_examples=100, deadline=None)
def test_any_text_is_encoded_without_loss(text: str) -> None:
    # A surrogate half is no text in any encoding.
    if text.encode("utf-8", "ignore").decode() == text:
        assert TOKENIZER.decode(ids_of(text), clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("number", range(101))
def test_a_small_number_is_one_token_wherever_it_stands(number: int) -> None:
    (after_space,) = ids_of(f" {number}")
    assert len(ids_of(str(number))) == 1
    for text in (f"has {number} apples", f"4 + {number} = 7", f"is {number}."):
        assert after_space in ids_of(text)


def test_digits_of_a_longer_number_stay_apart() -> None:
    pieces = [TOKENIZER.decode([token]) for token in ids_of(" 101 12345 999")]
    assert [piece for piece in pieces if piece.strip()] == list("10112345999")


def test_every_word_of_the_tasks_is_one_token() -> None:
    for i in range(50):
        problem, solution = WordProblems(facts=3).draw(f"words/{i}")
        for text in (problem.question, solution):
            words = [f" {word}" if n else word for n, word in enumerate(text.split())]
            for word in words:
                assert len(ids_of(word.rstrip(".,:?"))) == 1, word


def test_the_chat_template_writes_what_training_saw() -> None:
    question = "Mia has 8 apples. She buys 5."
    templated = TOKENIZER.apply_chat_template(
        [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
    )
    assert templated == prompt_text(question)
    assert ids_of(templated).count(TOKENIZER.bos_token_id) == 1


# Data


def test_every_answer_leaves_room_for_the_end_of_sequence_and_no_test_problem_is_seen() -> None:
    examples = Examples(TOKENIZER, seed=0)
    for index in range(60):
        word_problem, sudoku = examples.word_problem(index), examples.sudoku(index)
        assert len(word_problem.answer) < WordProblems.gen_length
        assert len(sudoku.answer) < Sudoku4.gen_length
        grid = TOKENIZER.decode(sudoku.prompt, skip_special_tokens=True).removeprefix("Fill in the Sudoku: ")
        assert split_of(f"sudoku4/{grid}") == "train"


def test_a_batch_holds_prompt_answer_and_end_of_sequence() -> None:
    examples = Examples(TOKENIZER, seed=0)
    chosen = [examples.word_problem(i) for i in range(5)]
    batch = examples.batch(chosen, 48)
    for row, example in enumerate(chosen):
        real = batch.tokens_BL[row][batch.attention_BL[row]].tolist()
        ends = 48 - len(example.answer)
        assert real == example.prompt + example.answer + [TOKENIZER.eos_token_id] * ends
        assert batch.weight_BG[row].tolist() == pytest.approx(
            [1.0] * (len(example.answer) + 1) + [data.PAD_WEIGHT] * (ends - 1)
        )


def test_sums_are_right_and_answered_in_any_order() -> None:
    orders, seen = set(), set()
    for index in range(3000):
        question, answer = draw_sums(Draw(f"test/{index}"))
        asked = question.removeprefix("What is ").removesuffix("?").split(", ")
        answered = re.findall(r"Calculate ((\d+) ([-+*]) (\d+)) = (\d+)\.", answer)
        assert len(answer.split()) == 6 * len(answered)
        assert sorted(asked) == sorted(calculation for calculation, *_ in answered)
        for _, left, sign, right, result in answered:
            value = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](int(left), int(right))
            assert value == int(result)
            assert max(value, int(left)) <= (25 if sign == "*" else WORDS.max_total)
            seen.add((sign, int(left), int(right)))
        if len(set(asked)) == len(asked) == 3:
            orders.add(tuple(asked.index(calculation) for calculation, *_ in answered))
    assert len(orders) == 6
    # Every sum of a total and a single change is practised.
    small = range(1, WORDS.max_change + 1)
    assert {("+", left, right) for right in small for left in range(WORDS.max_total - right + 1)} <= seen


def test_a_canvas_of_word_problems_is_as_long_as_its_answers_need_or_a_little_longer() -> None:
    examples = Examples(TOKENIZER, seed=0)
    for step in range(data.LONG_CANVAS_EVERY):
        words, sudokus, _ = examples.batches(step)
        spare = (words.weight_BG == data.PAD_WEIGHT).sum(1).min()
        if step == data.LONG_CANVAS_EVERY - 1:
            assert words.weight_BG.shape[1] == 2 * WORDS_CANVAS
            assert sudokus.weight_BG.shape[1] == 2 * SUDOKU_CANVAS
        else:
            assert 0 <= spare < data.LONGEST_TAIL
            assert sudokus.weight_BG.shape[1] == SUDOKU_CANVAS


# Objective


def test_each_token_is_masked_in_exactly_one_of_two_patterns_and_ratios_are_spread() -> None:
    masking = draw_masking(50, 2000, torch.Generator().manual_seed(3))
    first, second = masking.masked_BG[:50], masking.masked_BG[50:]
    assert (first ^ second).all()
    assert (masking.inverse_ratio_BG == masking.inverse_ratio_BG[:, :1]).all()
    ratios, _ = (1 / masking.inverse_ratio_BG[:50, 0]).sort()
    # One ratio in each fiftieth of (0, 1], and masks that follow it.
    assert (ratios * 50).floor().clamp(0, 49).tolist() == pytest.approx(list(range(50)))
    observed = masking.masked_BG.float().mean(1)
    assert torch.allclose(observed, 1 / masking.inverse_ratio_BG[:, 0], atol=5 * 0.5 / math.sqrt(2000))


def test_every_block_has_a_ratio_of_its_own() -> None:
    masking = draw_masking(20, 11, torch.Generator().manual_seed(3), block=4)
    blocks = masking.inverse_ratio_BG[:20].split(4, dim=1)
    assert all((block == block[:, :1]).all() for block in blocks)
    ratios, _ = (1 / torch.cat([block[:, 0] for block in blocks])).sort()
    assert (ratios * 60).floor().clamp(0, 59).tolist() == pytest.approx(list(range(60)))


def test_the_objective_of_blocks_is_what_the_model_says_of_one_block_after_the_other(tmp_path: Path) -> None:
    """Text and both masked copies in one row, and a canvas for each block whose later blocks are masks: the same."""
    torch.manual_seed(0)
    network, gen_length, block = build_network(TOKENIZER), 10, 4
    mask, eos = TOKENIZER.mask_token_id, TOKENIZER.eos_token_id
    examples = [data.Example(ids_of(text), ids_of(answer)) for text, answer in (("1 2 3 4 5 6", "7 8 9"), ("1", "2"))]
    batch = data.fill_batch(examples, gen_length, eos)
    masking = draw_masking(2, gen_length, torch.Generator().manual_seed(1), block=block)
    save_checkpoint(tmp_path, network, block)
    export(tmp_path / "checkpoint.pt", tmp_path / "model")
    predictor = load_model(str(tmp_path / "model"))
    assert predictor.attention.spec == "block-causal:4"

    expected = 0.0
    for row, (masked_G, inverse_ratio_G) in enumerate(zip(masking.masked_BG, masking.inverse_ratio_BG, strict=True)):
        prompt, weight_G = torch.tensor(examples[row % 2].prompt), batch.weight_BG[row % 2]
        answer_G = batch.tokens_BL[row % 2, -gen_length:]
        for start in range(0, gen_length, block):
            places = torch.arange(start, min(start + block, gen_length))
            canvas_L = torch.cat([prompt, answer_G[:start], torch.full((gen_length - start,), mask)])
            canvas_L[len(prompt) + places] = torch.where(masked_G[places], mask, answer_G[places])
            levels_1L = predictor.attention.levels(
                canvas_L[None].numpy(),
                np.ones((1, len(canvas_L)), dtype=bool),
                answer=len(prompt),
                window_end_B=np.array([start + block]),
                mask_id=mask,
            )
            with torch.inference_mode():
                hidden_LD = predictor.hidden(canvas_L[None], level_BL=torch.from_numpy(levels_1L))[0]
                log_probs_GV = predictor.logits(hidden_LD[len(prompt) :]).log_softmax(-1)
            losses_G = -log_probs_GV.gather(1, answer_G[:, None])[:, 0] * weight_G * inverse_ratio_G
            expected += float(losses_G[places][masked_G[places]].sum())
    with torch.no_grad():
        found = float(masked_loss(network, batch, masking, mask, block=block))
    # The folder holds half precision.
    assert found == pytest.approx(expected, rel=2e-3)


def test_the_objective_is_unbiased() -> None:
    """For a predictor that ignores its input, the expected loss is the plain cross-entropy of the answer."""
    vocab, gen_length, rows = 7, 6, 4
    log_probs = torch.randn(vocab, generator=torch.Generator().manual_seed(0)).log_softmax(0)
    network = SimpleNamespace(
        device=torch.device("cpu"),
        model=lambda tokens, **_: SimpleNamespace(last_hidden_state=torch.zeros(*tokens.shape, 1)),
        lm_head=lambda hidden: log_probs.expand(len(hidden), vocab),
    )
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, vocab - 1, (rows, 3 + gen_length), generator=generator)
    weight = torch.rand(rows, gen_length, generator=generator)
    batch = Batch(tokens, torch.ones_like(tokens, dtype=torch.bool), weight)
    draws = torch.stack(
        [masked_loss(network, batch, draw_masking(rows, gen_length, generator), vocab - 1) for _ in range(1000)]
    )
    exact = -2 * float((weight * log_probs[tokens[:, -gen_length:]]).sum())
    # Ratios below the smallest are never used; what that leaves out is far below the standard error.
    assert SMALLEST_RATIO < 0.01
    assert float(draws.mean()) == pytest.approx(exact, abs=4 * float(draws.std()) / math.sqrt(len(draws)))


def test_masks_are_uniform_over_positions() -> None:
    """No order is built in: every pair of answer positions is masked as (prefix, suffix) as often as the reverse."""
    generator = torch.Generator().manual_seed(0)
    masked = torch.cat([draw_masking(64, 5, generator).masked_BG for _ in range(200)])
    for left, right in itertools.combinations(range(5), 2):
        only_right = int((masked[:, right] & ~masked[:, left]).sum())
        only_left = int((masked[:, left] & ~masked[:, right]).sum())
        assert abs(only_right - only_left) < 4 * math.sqrt(only_right + only_left)


# Optimiser


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 40), (2, 40, 16)])
def test_orthogonalising_brings_all_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalise(matrices)
    singular = torch.linalg.svdvals(found)
    assert float(singular.min()) > 0.3 and float(singular.max()) < 1.3
    # The singular vectors stay as they are: in their basis the result is diagonal.
    rotated = left.mT @ found @ right.mT
    assert_equal_but_rounding(rotated, torch.diag_embed(torch.diagonal(rotated, dim1=1, dim2=2)), units=1000)


# Training and export


def save_checkpoint(folder: Path, network: LlamaForCausalLM, block: int | None) -> None:
    """What `export` reads of a training."""
    TOKENIZER.save_pretrained(folder)
    torch.save({"average": network.state_dict(), "block": block}, folder / "checkpoint.pt")


@pytest.fixture
def small_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe on a few problems at a time."""
    monkeypatch.setattr(data, "WORDS_PER_BATCH", 2)
    monkeypatch.setattr(data, "SUDOKUS_PER_BATCH", 2)
    monkeypatch.setattr(data, "SUMS_PER_BATCH", 2)
    monkeypatch.setattr(data, "POOL", 2)
    monkeypatch.setattr(data, "HELD_OUT", 2)
    monkeypatch.setattr(train, "WARMUP_STEPS", 2)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(train, "LOG_EVERY", 3)
    monkeypatch.setattr(train, "train_tokenizer", lambda: TOKENIZER)


def test_an_interrupted_run_ends_with_the_same_weights(
    small_recipe: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train.train(tmp_path / "undisturbed", steps=5)

    update = train._update

    def fails_at_the_fourth_step(state: train.State, *args: object, **kwargs: object) -> float:
        if state.step == 3:
            raise KeyboardInterrupt
        return update(state, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(train, "_update", fails_at_the_fourth_step)
        with pytest.raises(KeyboardInterrupt):
            train.train(tmp_path / "interrupted", steps=5)
    train.train(tmp_path / "interrupted", steps=5)

    first, second = (torch.load(tmp_path / run / "checkpoint.pt") for run in ("undisturbed", "interrupted"))
    assert first["step"] == second["step"] == 5
    for part in ("model", "average"):
        assert all(torch.equal(first[part][name], second[part][name]) for name in first[part])
    lines = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("undisturbed", "interrupted")]
    losses = [[json.loads(line)["train_loss"] for line in log] for log in lines]
    assert losses[0] == losses[1]


def test_an_exported_checkpoint_is_a_model_that_gives_the_same_logits(small_recipe: None, tmp_path: Path) -> None:
    train.train(tmp_path / "run", steps=3)
    export(tmp_path / "run" / "checkpoint.pt", tmp_path / "model")
    network = build_network(TOKENIZER)
    network.load_state_dict(torch.load(tmp_path / "run" / "checkpoint.pt")["average"])
    predictor = load_model(str(tmp_path / "model"))
    assert (predictor.mask_id, predictor.eos_id) == (TOKENIZER.mask_token_id, TOKENIZER.eos_token_id)
    tokens = torch.randint(0, len(TOKENIZER), (2, 30), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = predictor.logits(predictor.hidden(tokens).flatten(0, 1))
        theirs = network(tokens, use_cache=False).logits.flatten(0, 1)
    # Half precision keeps eleven bits of every weight.
    assert torch.allclose(ours, theirs, atol=5e-3 * float(theirs.abs().max()))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_schedule_shorter_than_its_warm_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="steps must be more than"):
        train.train(tmp_path, steps=train.WARMUP_STEPS)


def test_the_bundled_tokenizer_is_what_the_recipe_makes() -> None:
    bundled = PreTrainedTokenizerFast.from_pretrained(Path(train.__file__).parents[1])
    assert bundled.get_vocab() == TOKENIZER.get_vocab()
    assert bundled.chat_template == TOKENIZER.chat_template
