"""A grid is the product of its values, each run once, orders fastest."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexeval.errors import InputError
from flexeval.records import RunConfig, SamplingConfig
from flexeval.reproduce.grid import expand, without_duplicates
from flexeval.runs.identity import canonical_config, default_folder_name


def test_nothing_given_is_the_default_run_on_the_tasks_canvas():
    (config,) = expand({})
    assert config == canonical_config(RunConfig(sampling=SamplingConfig(gen_length=32)))
    assert (config.model, config.task) == ("forks", "forks")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"task": "word-problems"}, ("tiny", "word-problems", 48)),
        ({"task": "sudoku4"}, ("tiny", "sudoku4", 24)),
        ({"model": "tiny"}, ("tiny", "word-problems", 48)),
        ({"model": "forks"}, ("forks", "forks", 32)),
        ({"task": "forks:min_numbers=4"}, ("forks", "forks:min_numbers=4", 32)),
        ({"task.facts": "2"}, None),
    ],
)
def test_model_and_task_name_each_other(given, expected):
    settings = {name: [value] for name, value in given.items()}
    if expected is None:
        with pytest.raises(InputError, match="facts"):
            expand(settings)
        return
    (config,) = expand(settings)
    assert (config.model, config.task, config.sampling.gen_length) == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [("cache", ["exact", "none"]), ("temperature", ["0", "-0.0"]), ("order", ["ar", "left_to_right"])],
)
def test_what_one_folder_holds_is_one_run(name, values):
    both = [expand({name: [value]})[0] for value in values]
    assert default_folder_name(both[0]) == default_folder_name(both[1])
    assert expand({name: values}) == both[:1]


@settings(max_examples=25)
@given(
    orders=st.lists(st.sampled_from(["ar", "confidence", "random", "egi"]), min_size=1, max_size=4, unique=True),
    blocks=st.lists(st.integers(1, 32), min_size=1, max_size=4, unique=True),
    temperatures=st.lists(st.sampled_from([0.0, 0.3, 0.6, 1.0]), min_size=1, max_size=3, unique=True),
)
def test_a_grid_is_the_product_of_its_values_with_orders_fastest(orders, blocks, temperatures):
    configs = expand(
        {
            "order": orders,
            "block_length": [str(block) for block in blocks],
            "temperature": [str(temperature) for temperature in temperatures],
        }
    )
    found = [(config.sampling.block_length, config.sampling.temperature, config.order) for config in configs]
    assert found == list(itertools.product(blocks, temperatures, orders))


def test_whole_is_the_canvas_of_each_task():
    configs = expand({"block_length": ["whole"], "task": ["word-problems", "sudoku4"]})
    assert [(config.sampling.gen_length, config.sampling.block_length) for config in configs] == [(48, 48), (24, 24)]
    (config,) = expand({"block_length": ["whole"], "gen_length": ["16"]})
    assert config.sampling.block_length == 16


def test_a_parameter_goes_to_the_orders_that_have_it():
    configs = expand({"order": ["ar", "eb", "eb:proxy=margin"], "order.gamma": ["0.1", "0.5"]})
    with_gamma = ["eb:gamma=0.5", "eb:gamma=0.5,proxy=margin"]
    assert [config.order for config in configs] == ["ar", "eb", "eb:proxy=margin", *with_gamma]
    assert [config.order for config in expand({"order": ["parallel-k"], "order.k": ["2", "4"]})] == [
        "parallel-2",
        "parallel-4",
    ]
    assert [config.task for config in expand({"model": ["tiny"], "task.facts": ["2", "3"]})] == [
        "word-problems:facts=2",
        "word-problems",
    ]


def test_aliases_and_defaults_are_the_same_run():
    configs = expand({"order": ["confidence", "lcr", "arbitrary"], "block_length": ["none", "32"]})
    assert len(configs) == 1


def test_a_run_asked_for_twice_is_as_large_as_either():
    small, large = (
        expand({"num_samples": ["8"], "limit": ["50"]})[0],
        expand({"num_samples": ["64"], "limit": ["5"]})[0],
    )
    (merged,) = without_duplicates([small, large])
    assert (merged.num_samples, merged.limit) == (64, 50)
    (merged,) = without_duplicates([small, expand({"num_samples": ["1"]})[0]])
    assert (merged.num_samples, merged.limit) == (8, None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"block_lenth": ["1"]}, "'block_length'"),
        ({"sampling": ["1"]}, "unknown setting: 'sampling'"),
        ({"oder.gamma": ["1"]}, "'order.gamma'"),
        ({"order": ["eb"], "order.gama": ["1"]}, "'gamma'"),
        ({"order": ["ar"], "order.gamma": ["1"]}, "unknown parameter of order 'ar': 'gamma'"),
        ({"order": ["eb:gamma=1"], "order.gamma": ["1"]}, "say the same thing twice"),
        ({"temperature": ["warm"]}, "temperature must be a number"),
        ({"temperature": []}, "temperature has no value"),
        ({"block_length": ["64"]}, "block_length 64 is longer than gen_length 32"),
        ({"order": ["confidenc"]}, "'confidence'"),
        ({"task": ["sudoko"]}, "'sudoku4'"),
    ],
)
def test_refusals_say_what_to_write_instead(settings, said):
    with pytest.raises(InputError) as refused:
        expand(settings)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
