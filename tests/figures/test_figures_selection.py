"""Which runs are compared: those that differ in nothing but what the figure compares."""

from __future__ import annotations

import pytest

from flexeval.figures import FIGURES, Unavailable
from flexeval.figures.selection import common_ks, comparable, largest_groups
from flexeval.runs.store import RunSet, paper_block


def orders(runs: RunSet) -> list[str]:
    return [run.config.order for run in runs]


def test_ar_order_is_in_every_group_that_differs_in_its_block_length_only(made_up):
    ar = made_up("ar", block_length=1)
    others = [made_up("confidence", block_length=block) for block in (4, 12)]
    groups = comparable(RunSet((ar, *others)), free={"order"})
    assert [orders(group) for group in groups] == [["ar"], ["ar", "confidence"], ["ar", "confidence"]]
    assert [group[-1].config.sampling.block for group in groups] == [1, 4, 12]


def test_a_group_keeps_its_own_ar_run(made_up):
    runs = RunSet((made_up("ar", block_length=1), made_up("ar"), made_up("confidence")))
    group = comparable(runs, free={"order"})[1]
    assert [run.config.sampling.block for run in group if run.config.order == "ar"] == [12]


def test_ar_order_of_another_temperature_is_not_compared_and_of_another_seed_is(made_up):
    runs = RunSet((made_up("ar", temperature=1.0), made_up("ar", seed=1), made_up("confidence")))
    assert [len(group) for group in comparable(runs, free={"order"})] == [1, 2]


def test_of_equal_runs_the_larger_is_kept(made_up):
    runs = RunSet((made_up("ar", samples=2), made_up("ar", samples=8), made_up("ar", samples=4)))
    (group,) = comparable(runs, free={"order"})
    assert [run.config.num_samples for run in group] == [8]


def test_the_largest_group_of_each_task_is_chosen(made_up):
    small = [made_up(order, temperature=0.3) for order in ("ar", "confidence")]
    large = [made_up(order) for order in ("ar", "confidence", "random")]
    elsewhere = [made_up(order, task="sudoku4") for order in ("ar", "confidence")]
    groups = largest_groups(
        RunSet((*small, *large, *elsewhere)), free={"order"}, usable=lambda group: group[:2], missing="nothing"
    )
    # Two usable runs each: the group with more runs around them is the main setting.
    assert [(group[0].config.task, group[0].config.sampling.temperature) for group in groups] == [
        ("word-problems", 0.6),
        ("sudoku4", 0.6),
    ]


def chosen(*runs, free=("order",)):
    """The only group, every run of it usable."""
    (group,) = largest_groups(RunSet(tuple(runs)), free=free, usable=lambda group: group, missing="nothing")
    return group


def test_more_runs_do_not_move_a_figure_away_from_the_papers_settings(made_up):
    paper = [made_up(order) for order in ("ar", "confidence")]
    hot = [made_up(order, temperature=1.0) for order in ("ar", "confidence", "random", "entropy")]
    blocks = [made_up(order, block_length=4) for order in ("ar", "confidence", "random", "entropy")]
    for runs in ((*hot, *paper, *blocks), (*blocks, *hot, *paper)):
        group = chosen(*runs)
        assert {(run.config.sampling.temperature, run.config.sampling.block) for run in group} == {(0.6, 12)}
        assert group.left_out == ("block = 4", "T = 1")
    # Without runs at the paper's settings the largest group is shown.
    assert {run.config.sampling.temperature for run in chosen(hot[0], hot[1], made_up(temperature=1.5))} == {1.0}


@pytest.mark.parametrize(
    ("settings", "block"),
    [({}, 12), ({"gen_length": 48}, 32), ({"model": "tiny-block"}, 8), ({"model": "sdar-1.7b-chat"}, 4),
     ({"model": "own", "attention": "block-causal:6"}, 6), ({"model": "own"}, 12)],
)  # fmt: skip
def test_the_papers_block_is_no_longer_than_canvas_and_model(made_up, trained, settings, block):
    assert paper_block(made_up(**settings)) == block
    if settings == {"model": "tiny-block"}:
        assert paper_block(made_up(lineage=trained("first", base="tiny-block"))) == block


def test_a_free_setting_needs_no_preference(made_up):
    few = [made_up(order, temperature=temperature) for order in ("ar", "random") for temperature in (0.6, 1.0)]
    group = chosen(*few, free=("order", "temperature"))
    assert len(group) == 4 and group.left_out == ()


def test_seeds_are_pooled_and_what_is_left_out_is_at_the_foot(made_up):
    runs = [made_up(order, seed=seed) for order in ("ar", "confidence") for seed in (0, 1)]
    runs += [made_up(order, temperature=1.5) for order in ("ar", "confidence", "random")]
    figure = FIGURES.get("pass-at-k")()
    data = figure.data(RunSet(tuple(runs)))
    assert set(data["seed"]) == {"0+1"} and set(data["num_samples"]) == {16}
    assert set(data["left_out"]) == {"T = 1.5"}
    (_, foot) = (text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in figure.draw(data).texts)
    assert "seed 0+1" in foot and "Not shown: T = 1.5." in foot.replace("\n", " ")


def test_pass_at_k_has_a_panel_at_each_main_temperature(made_up):
    def shown(*temperatures):
        runs = [made_up(order, temperature=each) for each in temperatures for order in ("ar", "confidence")]
        data = FIGURES.get("pass-at-k")().data(RunSet(tuple(runs)))
        return list(dict.fromkeys(data["temperature"])), set(data["left_out"])

    assert shown(0.6, 1.0) == ([0.6, 1.0], {""})
    assert shown(1.0, 0.3, 1.5) == ([1.0], {"T = 0.3, 1.5"})
    assert shown(0.3, 1.5) == ([0.3, 1.5], {""})


@pytest.mark.parametrize("name", ["bypassed-words", "order-map", "collapse", "non-top-rate", "tokens-per-step"])
def test_figures_of_token_rows_take_pooled_runs(name, made_up):
    paced = ["eb:gamma=1.0", "eb:gamma=3.0"] if name == "tokens-per-step" else []
    runs = [made_up(order, seed=seed) for order in ("confidence", "top_prob", *paced) for seed in (0, 1)]
    data = FIGURES.get(name)().data(RunSet(tuple(runs)))
    assert set(data["seed"]) == {"0+1"} and set(data["num_samples"]) == {16}


def test_nothing_usable_is_unavailable(made_up):
    with pytest.raises(Unavailable, match=r"^what is missing$"):
        largest_groups(RunSet((made_up(),)), free=(), usable=lambda group: RunSet(()), missing="what is missing")


def test_temperatures_count_above_zero_only(made_up):
    warm = [made_up("ar", temperature=temperature) for temperature in (0.3, 0.6)]
    cold = [made_up("random", temperature=temperature) for temperature in (0.0, 0.6)]
    assert orders(FIGURES.get("temperature")().usable(RunSet((*warm, *cold)))) == ["ar", "ar"]


def test_orders_have_an_optimal_temperature_of_the_same_grid(made_up):
    runs = [made_up(order, temperature=at) for order in ("ar", "confidence") for at in (0.3, 0.6)]
    other = [made_up("random", temperature=at) for at in (0.6, 1.5)]
    more = [*other, made_up("random", temperature=0.3)]
    for given in ((*other, *runs), (*runs, *other), (*more, *runs), (*runs, *more)):
        shown = FIGURES.get("temperature")().usable(RunSet(given))
        expected = {"ar", "confidence"} | ({"random"} if len(given) == 7 else set())
        assert set(orders(shown)) == expected and {run.config.sampling.temperature for run in shown} == {0.3, 0.6}
        assert shown.left_out == (() if len(given) == 7 else ("order random",))


def test_a_third_model_is_named_where_two_are_compared(made_up):
    runs = RunSet(tuple(made_up("ar", model=model) for model in ("a", "b", "c")))
    assert set(FIGURES.get("coverage")("model").data(runs)["left_out"]) == {"model c"}


def test_common_ks_end_at_the_smallest_n(made_up):
    assert common_ks(RunSet((made_up(samples=6), made_up("random", samples=8)))) == [1, 2, 4, 6]


def test_checkpoints_do_not_stand_beside_the_model_before_them(made_up, trained):
    before = [made_up(order) for order in ("ar", "confidence")]
    after = [made_up(order, lineage=trained("first")) for order in ("ar", "confidence", "random")]
    elsewhere = made_up("ar", task="sudoku4", lineage=trained("first"))

    def chosen(*runs):
        groups = largest_groups(RunSet(runs), free={"order"}, usable=lambda group: group, missing="nothing")
        return [(group[0].model, group[0].config.task, len(group)) for group in groups]

    assert chosen(*after, *before) == [("tiny", "word-problems", 2)]
    assert chosen(*after) == [("tiny+first@20", "word-problems", 3)]
    # On a task that the model before was not run on, the checkpoint is a model like any other.
    assert chosen(*before, elsewhere) == [("tiny", "word-problems", 2), ("tiny+first@20", "sudoku4", 1)]
