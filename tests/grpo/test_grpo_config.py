"""Settings: what is refused and why, and where they may come from."""

from __future__ import annotations

import dataclasses

import pytest

from flexeval import get_task
from flexeval.errors import InputError
from flexeval.grpo.config import (
    EXTENT,
    GRPOConfig,
    default_folder_name,
    read_settings,
    require_same_training,
    shipped_configs,
)
from flexeval.grpo.problems import canonical_training, training_task


def test_defaults_are_the_papers():
    """arXiv:2601.15165, Table 3, and the clip of its released code."""
    config = GRPOConfig()
    assert (config.group_size, config.problems_per_step, config.steps, config.updates_per_rollout) == (16, 64, 125, 1)
    assert (config.learning_rate, config.weight_decay, config.temperature) == (5e-6, 0.0, 1.0)
    assert (config.clip, config.kl, config.max_grad_norm) == (0.2, 0.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group_size": 1}, "group_size must be at least 2"),
        ({"temperature": 0.0}, "temperature must be a number above 0"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number above 0"),
        ({"fast_share": 0.0}, "fast_share must lie in"),
        ({"kl": -1.0}, "kl must be a number >= 0"),
        ({"wrong_reward": 1.0}, "wrong_reward must be below"),
        ({"limit": 0}, "limit must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        GRPOConfig(**settings)


@pytest.mark.parametrize("order", ["egi:first_temperature=0", "egi:first_temperature=0.0"])
def test_an_order_that_draws_at_temperature_0_is_refused(order):
    with pytest.raises(InputError, match="draws at temperature 0"):
        _ = GRPOConfig(rollout_order=order).order
    assert GRPOConfig(rollout_order="egi:first_temperature=0.1").order.draw == "select"


def test_a_length_of_0_is_refused_and_no_length_is_the_tasks():
    task = get_task("countdown")
    with pytest.raises(InputError, match="gen_length must be at least 1, not 0"):
        GRPOConfig(gen_length=0).sampling(task)
    assert GRPOConfig().sampling(task).gen_length == task.gen_length


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_settings_are_valid(name):
    config = GRPOConfig(**read_settings(name))
    assert config.order.draw == "select"
    task = training_task(get_task(config.task), config.task)
    assert len(task.problems()) >= config.problems_per_step


def test_a_file_of_settings_has_the_types_of_the_fields(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("learning_rate: 1e-4\ntemperature: 1\nfast: true\ngen_length: null\nloss_positions: all\n")
    assert read_settings(str(file)) == {
        "learning_rate": 1e-4, "temperature": 1.0, "fast": True, "gen_length": None, "loss_positions": "all"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepps: 3", "Did you mean 'steps'"),
        ("steps: many", "steps in .* must be a whole number, not 'many'"),
        ("- steps", "holds no settings"),
        ("steps: [", "cannot read"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_settings(str(file))
    assert "\n" not in str(caught.value)


def test_an_unknown_config_names_those_there_are():
    with pytest.raises(InputError, match="Did you mean 'tiny'"):
        read_settings("tinny")


def test_training_never_sees_test_problems():
    task = training_task(get_task("word-problems:facts=2"), "word-problems:facts=2")
    test_ids = {problem.id for problem in get_task("word-problems").problems()}
    assert not test_ids & {problem.id for problem in task.problems()}
    with pytest.raises(InputError, match="leave out split=test"):
        training_task(get_task("sudoku4:split=test"), "sudoku4:split=test")
    with pytest.raises(InputError, match="'humaneval' has no training problems"):
        training_task(get_task("humaneval"), "humaneval")


def test_equal_trainings_have_equal_canonical_settings():
    settings = [GRPOConfig(rollout_order="left_to_right", task="word-problems:split=train"), GRPOConfig()]
    one, other = (canonical_training(config, get_task(config.task)) for config in settings)
    assert one == other
    config, task = one
    assert task.split == "train"
    assert canonical_training(config, get_task(config.task)) == one
    with pytest.raises(InputError, match="block_length 99 is longer"):
        canonical_training(GRPOConfig(block_length=99), get_task("word-problems"))


@pytest.mark.parametrize("save_every", [1, 7, 10, 30, 31])
def test_checkpoints_come_every_so_many_steps_and_at_the_end(save_every):
    config = GRPOConfig(steps=30, save_every=save_every)
    wanted = [step for step in range(1, 31) if step % save_every == 0 or step == 30]
    assert config.checkpoint_steps == wanted


OTHER = {"model": "forks", "adapter": "a", "task": "sudoku4", "limit": 5, "gen_length": 16, "temperature": 0.5,
         "group_size": 4, "problems_per_step": 2, "updates_per_rollout": 2, "deviation": "sample", "reward": "sound",
         "wrong_reward": -1.0, "learning_rate": 1e-3, "weight_decay": 0.1, "max_grad_norm": 2.0, "clip": 0.1, "kl": 0.1,
         "recompute_old": True, "lora_rank": 4, "gradient_checkpointing": True, "bf16": True,
         "tokens_per_forward": 99}  # fmt: skip
"""Another value of each setting."""


def test_folders_differ_when_what_is_computed_differs():
    changes = {"learning_rate": 1e-3, "fast": True, "seed": 1, "rollout_order": "random", "task": "sudoku4"}
    names = {default_folder_name(GRPOConfig(**{name: value})) for name, value in changes.items()}
    assert len(names | {default_folder_name(GRPOConfig())}) == len(changes) + 1
    assert default_folder_name(GRPOConfig(steps=7)) == default_folder_name(GRPOConfig())
    assert set(EXTENT) < {field.name for field in dataclasses.fields(GRPOConfig)}


def test_a_recipe_is_all_but_seed_and_length_and_a_basis_all_but_rollouts_too():
    extent = {"seed": 1, "steps": 7, "save_every": 3, "rollout_batch": 2}
    rollouts = {"rollout_order": "random", "fast": True, "fast_share": 0.5, "block_length": 8, "tokens_per_step": 2,
                "loss_positions": "all"}  # fmt: skip
    fields = {field.name: field.type for field in dataclasses.fields(GRPOConfig)}
    others = {name: value for name, value in OTHER.items() if name not in {**extent, **rollouts}}
    assert {*extent, *rollouts, *others} == set(fields), "say of a new setting whether it makes another training"
    recipes, bases = (
        {name: getattr(GRPOConfig(**{name: value}), kind) for name, value in {**extent, **rollouts, **others}.items()}
        for kind in ("recipe", "basis")
    )
    assert {recipes[name] for name in extent} == {GRPOConfig().recipe}
    assert {bases[name] for name in (*extent, *rollouts)} == {GRPOConfig().basis}
    assert len({GRPOConfig().recipe, *recipes.values()}) == 1 + len(rollouts) + len(others)
    assert len({GRPOConfig().basis, *bases.values()}) == 1 + len(others)


@pytest.mark.parametrize("order", ["wino", "remdm", "edit", "t2m"])
def test_an_order_that_takes_tokens_back_has_no_likelihood(order):
    with pytest.raises(InputError, match="takes tokens back, so the probabilities") as refusal:
        _ = GRPOConfig(rollout_order=order).order
    assert "\n" not in str(refusal.value)


def test_a_setting_that_came_later_was_at_its_default(tmp_path):
    stored = dataclasses.asdict(GRPOConfig())
    del stored["deviation"]
    require_same_training(stored, GRPOConfig(), folder=tmp_path)
    with pytest.raises(InputError, match="was trained with deviation 'population', not 'sample'"):
        require_same_training(stored, GRPOConfig(deviation="sample"), folder=tmp_path)
    with pytest.raises(InputError, match="does not know, 'curriculum'"):
        require_same_training({**stored, "curriculum": 1}, GRPOConfig(), folder=tmp_path)
