"""What holds for every figure: its data is what the statistics give, its drawing holds its data, its text fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Rectangle

from flexeval.figures import FIGURES, Unavailable
from flexeval.figures.settings import SETTINGS
from flexeval.plots.style import COLUMN_WIDTH, PAGE_WIDTH
from flexeval.runs.store import Run, RunSet
from flexeval.stats.curves import difference_band, pass_at_k_band, pass_at_k_differences
from flexeval.stats.intervals import wilson
from flexeval.stats.nfe import accuracy_under_parallelism, pass_at_nfe_table
from flexeval.stats.onset import adjacent_losses

CURVES = {
    "pass-at-k": "k", "difference": "k", "block-length": "block", "block-onset": "longer",
    "tokens-per-step": "tokens_per_step", "temperature": "k", "samplers": "k", "collapse": "step",
    "non-top-rate": "temperature", "pass-at-nfe": "nfe", "matched-entropy": "k", "trained-pass-at-k": "k",
    "training-time": "minutes",
}  # fmt: skip
"""Figure -> its horizontal column."""
DOTS = {"coverage": "share", "bypassed-words": "rate", "connector-entropy": "estimate", "entropy-closure": "estimate"}
MAPS = {"order-map": "share", "rank-map": "share"}


@pytest.fixture(scope="module")
def made(enough: RunSet) -> Callable[[str], tuple[pd.DataFrame, Drawing]]:
    """Data and drawing of a figure, made once."""

    @cache
    def make(name: str) -> tuple[pd.DataFrame, Drawing]:
        figure = FIGURES.get(name)()
        data = figure.data(enough)
        return data, figure.draw(data)

    return make


def lines(drawing: Drawing) -> list[Any]:
    return [line for axes in drawing.axes for line in axes.lines if len(line.get_xdata())]


def rounded(first: Iterable[float], second: Iterable[float]) -> set[tuple[float, float]]:
    """Pairs of numbers, apart from what arithmetic rounds."""
    return {(round(float(a), 9), round(float(b), 9)) for a, b in zip(first, second, strict=True)}


def drawn_pairs(drawing: Drawing) -> set[tuple[float, float]]:
    """(x, y) of each point of a line."""
    return set().union(*(rounded(line.get_xdata(), line.get_ydata()) for line in lines(drawing)))


def drawn_bars(drawing: Drawing) -> set[tuple[float, float]]:
    """(low, high) of each horizontal bar."""
    collections = [bars for axes in drawing.axes for bars in axes.collections if isinstance(bars, LineCollection)]
    return {pair for bars in collections for (a, _), (b, _) in bars.get_segments() for pair in rounded([a], [b])}


def test_every_figure_is_tested_here():
    assert {*CURVES, *DOTS, *MAPS, "correlation", "revision"} == set(FIGURES)


@pytest.mark.parametrize("name", list(FIGURES))
def test_a_figure_says_what_it_is_about_and_keeps_to_its_width(name, made):
    data, drawing = made(name)
    assert list(data.columns[: len(SETTINGS)]) == list(SETTINGS)
    title, foot = (text.get_text() for text in drawing.texts)
    assert title.replace("\n", " ") == FIGURES.get(name).title
    words = foot.replace("\N{NO-BREAK SPACE}", " ").replace("\n", " ")
    for stated in ("model ", "task word-problems", "n = 8", "6 problems", "T = ", "block ", "length 12", "seed 0"):
        assert stated in words
    assert drawing.get_size_inches()[0] in (COLUMN_WIDTH, PAGE_WIDTH)

    # No text lies beyond the edge, and no two texts of the frame on each other.
    drawing.draw_without_rendering()
    width, height = drawing.get_size_inches() * drawing.dpi
    for artist in [*drawing.texts, *drawing.legends, *drawing.axes]:
        box = artist.get_tightbbox()
        assert box is not None
        assert box.x0 > -1 and box.x1 < width + 1 and box.y0 > -1 and box.y1 < height + 1, artist
    stack = [drawing.texts[0], *drawing.legends, *drawing.axes[:1], drawing.texts[1]]
    boxes = [artist.get_tightbbox() for artist in stack]
    assert all(above.y0 >= below.y1 - 1 for above, below in pairwise(boxes))


@pytest.mark.parametrize("name", list(CURVES))
def test_curves_hold_the_data(name, made):
    data, drawing = made(name)
    rows = data[data["quantity"] == "pass@k"] if "quantity" in data else data
    assert rounded(rows[CURVES[name]], rows["estimate"]) <= drawn_pairs(drawing)

    # Bands: each bound is a corner of a filled area.
    areas = [area for axes in drawing.axes for area in axes.collections]
    corners = set().union(*(rounded(*path.vertices.T) for area in areas for path in area.get_paths()))
    for bound in ("low", "high"):
        assert rounded(rows[CURVES[name]], rows[bound]) <= corners


@pytest.mark.parametrize("name", list(DOTS))
def test_dots_hold_the_data(name, made):
    data, drawing = made(name)
    rows = {
        "coverage": data[data["part"].isin(["ar_only", "confidence_only"])] if "part" in data else data,
        "bypassed-words": data[data["kind"] == "word"] if "kind" in data else data,
        "connector-entropy": data[data["group"] != "all tokens"] if "group" in data else data,
        "entropy-closure": data[data["quantity"] != "closure"] if "quantity" in data else data,
    }[name]
    values = {x for x, _ in drawn_pairs(drawing)}
    assert {round(float(value), 9) for value in rows[DOTS[name]]} <= values
    assert rounded(rows["low"], rows["high"]) <= drawn_bars(drawing)


@pytest.mark.parametrize("name", list(MAPS))
def test_heat_maps_hold_the_data(name, made):
    data, drawing = made(name)
    meshes = [mesh for axes in drawing.axes for mesh in axes.collections if isinstance(mesh, QuadMesh)]
    for mesh, (_, rows) in zip(meshes, data.groupby("order", sort=False), strict=False):
        shown = np.sort(mesh.get_array().compressed())
        assert shown == pytest.approx(np.sort(rows.loc[rows["share"] > 0, "share"].to_numpy()))


def test_the_bars_of_coverage_hold_all_parts(made):
    data, drawing = made("coverage")
    widths = [patch.get_width() for patch in drawing.axes[0].patches if isinstance(patch, Rectangle)]
    assert sorted(widths) == pytest.approx(sorted(data["share"]))
    assert sum(widths) == pytest.approx(1)


def test_the_points_of_correlation_are_the_problems(made, enough):
    data, drawing = made("correlation")
    points = data[data["kind"] == "problem"]
    assert rounded(points["reference_accuracy"], points["accuracy"]) <= drawn_pairs(drawing)
    ar, other = enough.where(order="ar")[0], enough.where(order="top_prob")[0]
    mine = data[(data["kind"] == "correlation") & (data["order"] == "top_prob")]["estimate"].item()
    accuracy = [run.counts().eval("c / n") for run in (ar, other)]
    assert mine == pytest.approx(np.corrcoef(*accuracy)[0, 1])


def test_what_revision_changes_goes_from_one_rule_to_the_other(made, enough):
    data, drawing = made("revision")
    solved = data[data["kind"] == "solved"].set_index("order")
    assert set(solved.index) == {"ar", "confidence", "top_prob", "wino", "wino:tau_back=0.0"}
    for order, row in solved.iterrows():
        counts = one(enough, order=order, temperature=1.5).counts()
        assert (row["x"], row["estimate"]) == pytest.approx(
            ((counts["c"] / counts["n"]).mean(), (counts["c"] > 0).mean())
        )
    assert rounded(solved["x"], solved["estimate"]) <= drawn_pairs(drawing)
    (arrow,) = (text for text in drawing.axes[0].texts if text.arrow_patch)
    ends = [tuple(solved.loc[order, ["x", "estimate"]]) for order in ("wino:tau_back=0.0", "wino")]
    assert [arrow.xyann, arrow.xy] == [pytest.approx(end) for end in ends]

    # A third of the tokens stood there before, each with a quarter of a nat more.
    entropy = data[data["kind"] == "entropy"]
    by_moment = entropy[entropy["order"] == "wino"].pivot(index="words", columns="moment", values="estimate")
    assert (by_moment["first"] > by_moment["last"]).all() and (by_moment["first"] - by_moment["last"] <= 0.25).all()
    assert set(entropy.loc[entropy["order"] != "wino", "moment"]) == {"last"}
    connectors = entropy[entropy["words"] == "connectors"]
    assert rounded(connectors["low"], connectors["high"]) <= drawn_bars(drawing)


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_two_series_share_dash_marker_and_filling(name, made):
    """Then a print without colour tells them apart."""
    _, drawing = made(name)
    for axes in drawing.axes:
        named = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
        marks = [
            (str(line._dash_pattern), line.get_marker(), line.get_fillstyle(), line.get_markerfacecolor() == "white")
            for line in named.values()
        ]
        assert len(set(marks)) == len(marks)


def one(runs: RunSet, **settings: Any) -> Run:
    (run,) = runs.where(**{"model": "tiny", "block_length": 12, "temperature": 0.6, **settings})
    return run


@pytest.mark.parametrize("name", list(FIGURES))
def test_an_axis_in_percent_ends_where_fractions_do(name, made):
    _, drawing = made(name)
    for axes in drawing.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_label_text().endswith(", %"):
                low, high = axis.get_view_interval()
                assert low >= 0 and high <= 1 + 1e-12


def test_each_order_is_optimal_at_its_best_temperature(made):
    data, _ = made("temperature")
    means = data.groupby(["order", "panel"])["estimate"].mean().unstack()
    assert set(means.columns) == {"T = 0.6", "T = 1.5", "optimal"}
    assert means["optimal"].tolist() == pytest.approx(means.drop(columns="optimal").max(axis=1).tolist())
    assert {"ar", "confidence", "top_prob"} == set(data["order"])


def test_words_are_ranked_by_rate_and_by_frequency(made):
    data, _ = made("bypassed-words")
    for kind, ranked in (("word", "rate"), ("frequent", "per_sample")):
        values = data.loc[data["kind"] == kind, ranked].tolist()
        assert values and values == sorted(values, reverse=True)
    assert (data["per_sample"] * 48).tolist() == pytest.approx(data["bypassed"].tolist())


def test_a_word_that_occurs_just_often_enough_is_shown(made_up, monkeypatch):
    def shown():
        data = FIGURES.get("bypassed-words")().data(RunSet((made_up("confidence"),)))
        return data[data["kind"] == "word"]

    before = shown()
    monkeypatch.setattr("flexeval.figures.words.MIN_COUNT", int(before["occurrences"].min()))
    assert set(shown()["word"]) == set(before["word"])


def test_a_task_whose_words_are_all_rare_stands_beside_another(made_up):
    runs = RunSet((made_up("confidence"), made_up("confidence", task="sudoku4").part(num_samples=1, limit=2)))
    figure = FIGURES.get("bypassed-words")()
    data = figure.data(runs)
    assert "word" not in set(data.loc[data["task"] == "sudoku4", "kind"])
    assert len(figure.draw(data).axes) == 4


def test_texts_without_connectors_have_an_empty_line_in_what_revision_changes(made_up):
    figure = FIGURES.get("revision")()
    data = figure.data(RunSet((made_up("wino"), made_up("wino:tau_back=0.0"))))
    lacking = data[(data["order"] == "wino") | (data["words"] != "connectors")]
    drawing = figure.draw(lacking)
    assert [label.get_text() for label in drawing.axes[1].get_yticklabels()] == ["wino", "wino:tau_back=0.0"]


def test_one_token_a_step_is_that_however_it_is_said(made_up):
    pace = {"steps": 12}, {"tokens_per_step": 1}, {"steps_per_block": 12}, {"tokens_per_step": 2}
    names = ("ar", "confidence", "random", "top_prob")
    runs = [made_up(order, **own) for order, own in zip(names, pace, strict=True)]
    data = FIGURES.get("pass-at-nfe")().data(RunSet(tuple(runs)))
    assert data.groupby("order")["pace"].first().to_dict() == {
        "ar": "one token a step", "confidence": "one token a step", "random": "one token a step",
        "top_prob": "several tokens a step",
    }  # fmt: skip


def test_orders_that_set_their_pace_stand_beside_the_two_of_the_paper(made_up):
    orders = ("ar", "confidence", "random", "eb:gamma=3", "parallel-2")
    figure = FIGURES.get("pass-at-nfe")()
    drawing = figure.draw(figure.data(RunSet(tuple(map(made_up, orders)))))
    drawn = [{line.get_label() for line in axes.lines} for axes in drawing.axes]
    assert drawn == [{"ar", "confidence", "random"}, {"ar", "confidence", "eb:gamma=3", "parallel-2"}]


def test_the_foot_says_which_task_and_order_has_which_extent(made_up):
    runs = [made_up("ar"), made_up("confidence"), made_up("random", samples=4)]
    runs += [made_up("ar", task="gsm8k").part(num_samples=8, limit=5), made_up("confidence", task="gsm8k")]
    figure = FIGURES.get("difference")()
    foot = figure.foot(figure.data(RunSet(tuple(runs)))).replace("\N{NO-BREAK SPACE}", " ")
    assert "word-problems: n = 8, 4 for random, 6 problems." in foot
    assert "gsm8k: n = 8, 5 problems." in foot
    assert "not corrected for the number of curves" in " ".join(foot.split())


@pytest.mark.parametrize(
    ("settings", "told"),
    [({}, ""), ({"top_p": 0.5}, "top_p 0.5"), ({"cfg_scale": 2.0, "tokens_per_step": 4}, "cfg_scale 2.0, 4 tokens")],
)
def test_the_foot_says_which_settings_are_not_the_usual_ones(made_up, settings, told):
    figure = FIGURES.get("difference")()
    data = figure.data(RunSet(tuple(made_up(order, **settings) for order in ("ar", "confidence"))))
    assert ("other_settings" in data) == bool(told)
    foot = figure.foot(data).replace("\N{NO-BREAK SPACE}", " ").partition(".\n")[0]
    assert foot.endswith("seed 0") if not told else f"seed 0, {told}" in foot


def columns(data: pd.DataFrame, *names: str, **rows: Any) -> pd.DataFrame:
    for column, value in rows.items():
        data = data[data[column] == value]
    return data[list(names)].reset_index(drop=True)


def test_pass_at_k_is_the_band_of_the_statistics(made, enough):
    data, _ = made("pass-at-k")
    for order in ("ar", "confidence"):
        expected = pass_at_k_band(one(enough, order=order).counts(), [1, 2, 4, 8])
        mine = columns(data, "k", "estimate", "low", "high", order=order, quantity="pass@k")
        pd.testing.assert_frame_equal(mine, expected, check_dtype=False)


def test_difference_is_paired(made, enough):
    data, _ = made("difference")
    expected = difference_band(one(enough, order="top_prob").counts(), one(enough, order="ar").counts(), [1, 2, 4, 8])
    mine = columns(data, "k", "estimate", "low", "high", order="top_prob")
    pd.testing.assert_frame_equal(mine, expected, check_dtype=False)


def test_coverage_counts_the_problems(made, enough):
    data, _ = made("coverage")
    ar, other = (one(enough, order=order).counts()["c"] > 0 for order in ("ar", "confidence"))
    expected = {"ar_only": ar & ~other, "confidence_only": other & ~ar, "both": ar & other, "neither": ~ar & ~other}
    assert dict(zip(data["part"], data["solved"], strict=True)) == {part: who.sum() for part, who in expected.items()}
    low, high = wilson(data["solved"], len(ar))
    assert data["low"].to_numpy() == pytest.approx(low) and data["high"].to_numpy() == pytest.approx(high)


def test_coverage_says_of_how_many_samples_it_is(made_up):
    data = FIGURES.get("coverage")().data(RunSet((made_up("ar", samples=2), made_up("confidence", samples=5))))
    assert set(data["num_samples"]) == set(data["n"]) == {2}


def test_block_lengths_come_from_their_runs(made, enough):
    data, _ = made("block-length")
    assert set(data["block"]) == {1, 4, 12}
    for block in (1, 4, 12):
        counts = one(enough, order="confidence", block_length=block).counts()
        mine = data[(data["block"] == block) & (data["k"] == 8)]["estimate"].item()
        assert mine == pytest.approx((counts["c"] > 0).mean())


def test_losses_between_block_lengths_are_those_of_the_runs_with_their_reading(made, enough):
    data, drawing = made("block-onset")
    counts = {block: one(enough, order="confidence", block_length=block).counts() for block in (1, 4, 12)}
    losses = adjacent_losses(counts, [4, 8])
    assert data["estimate"].tolist() == pytest.approx(losses["difference"].tolist())
    for column in ("low", "high"):
        assert data[column].tolist() == pytest.approx(losses[f"band_{column}"].tolist())
    assert losses["reading"].iloc[0] in drawing.texts[1].get_text().replace("\n", " ")


def test_tasks_with_the_same_block_lengths_are_pooled_too(made_up):
    runs = [
        made_up("confidence", block_length=block, task=task) for block in (1, 2, 4) for task in ("word-problems", "b")
    ]
    data = FIGURES.get("block-onset")().data(RunSet(tuple(runs)))
    by_series = {series: own["estimate"].to_numpy() for series, own in data.groupby("series")}
    assert by_series["all tasks"] == pytest.approx((by_series["word-problems"] + by_series["b"]) / 2)
    without = FIGURES.get("block-onset")().data(RunSet(tuple(runs[:-1])))
    assert set(without["series"]) == {"word-problems"}


def test_tokens_per_step_are_positions_over_evaluations(made):
    data, _ = made("tokens-per-step")
    paces = data.groupby("order")["tokens_per_step"].first()
    assert paces["eb:gamma=1.0"] == 2
    assert paces["eb:gamma=3.0"] == 4
    assert paces["parallel-6"] == 6
    assert set(zip(data["model"], data["family"], strict=True)) == {
        (model, family) for model in "ab" for family in ("eb", "parallel-k")
    }


def test_aup_is_that_of_the_points_of_its_family(made):
    data, _ = made("tokens-per-step")
    for (_, _), own in data.groupby(["model", "family"]):
        aup = accuracy_under_parallelism(own["tokens_per_forward"], own["estimate"], best=data["estimate"].max())
        assert own["aup"].tolist() == pytest.approx([aup] * len(own))


def test_one_family_suffices_and_confidence_is_its_first(made_up):
    eb = [made_up(f"eb:gamma={gamma}", model=model) for gamma in (1.0, 3.0) for model in "ab"]
    single = [made_up("confidence"), made_up("parallel-2", temperature=0.0)]
    data = FIGURES.get("tokens-per-step")().data(RunSet((*eb, *single)))
    assert set(data["family"]) == {"eb"}
    parallel = [made_up(order, model="a") for order in ("confidence", "parallel-3")]
    data = FIGURES.get("tokens-per-step")().data(RunSet((*eb, *parallel)))
    assert columns(data, "tokens_per_step", family="parallel-k")["tokens_per_step"].tolist() == [1, 3]


def test_paces_before_and_after_stand_in_a_panel_for_each_recipe(made_up, trained):
    """With the last checkpoint of each seed, in whatever order the runs are given; unrelated models have a panel of
    their own.
    """
    orders = ("parallel-2", "parallel-3", "eb:gamma=1.0", "eb:gamma=3.0")
    steps = {"a-1": (20,), "a-0": (10, 20), "b": (20,)}
    seeds = {"a-1": ("a", 1), "a-0": ("a", 0), "b": ("b", 0)}
    lineages = [
        dataclasses.replace(trained(name, step=step), recipe=seeds[name][0], seed=seeds[name][1])
        for name, own in steps.items()
        for step in own
    ]
    before = [made_up(order, temperature=0.0) for order in orders]
    after = [made_up(order, temperature=0.0, lineage=lineage) for lineage in lineages for order in orders]
    other = [made_up(order, temperature=0.0, model="other") for order in orders]
    figure = FIGURES.get("tokens-per-step")()
    for runs in ([*before, *after, *other], [*other, *after[::-1], *before[::-1]]):
        data = figure.data(RunSet(tuple(runs)))
        panels = {recipe: set(own["model"]) for recipe, own in data.groupby("recipe")}
        assert panels == {
            "a-0, a-1": {"tiny", "tiny+a-0@20", "tiny+a-1@20"}, "b": {"tiny", "tiny+b@20"}, "other models": {"other"},
        }  # fmt: skip
        assert (data.groupby(["recipe", "model"]).size() == len(orders)).all()
        aup = data.groupby(["model", "family"])["aup"]
        assert (aup.nunique() == 1).all() and data["aup"].notna().all()
        first = data[(data["model"] == "tiny") & (data["recipe"] == "b")]
        alone = figure.data(RunSet(tuple(before))).set_index("order")["tokens_per_step"]
        assert first.set_index("order")["tokens_per_step"].to_dict() == alone.to_dict()
    titles = {axes.get_title(loc="left").split("\n")[-1] for axes in figure.draw(data).axes}
    assert titles == {"tiny · a-0, a-1", "tiny · b", "other models"}
    (alone,) = figure.draw(figure.data(RunSet(tuple(other)))).axes
    assert alone.get_title(loc="left") == other[0].config.task


def test_paces_of_uneven_runs_are_all_shown(made_up, trained):
    """Whatever paces a seed has, and at whatever checkpoint; where the model before has none, by themselves."""

    def paced(name, *ks, step=20, seed=0):
        lineage = None if name == "tiny" else dataclasses.replace(trained(name, step=step), recipe="r", seed=seed)
        orders = [k if isinstance(k, str) else f"parallel-{k}" for k in ks]
        return [made_up(order, temperature=0.0, lineage=lineage) for order in orders]

    figure, eb = FIGURES.get("tokens-per-step")(), ("eb:gamma=1.0", "eb:gamma=3.0")
    runs = [*paced("tiny", 2, 4, eb[0]), *paced("a", 2, 4, *eb), *paced("b", 2, 3, seed=1)]
    data = figure.data(RunSet(tuple(runs)))
    found = data.groupby(["recipe", "model", "family"])["tokens_per_step"].apply(sorted).to_dict()
    assert found == {
        ("a, b", "tiny", "parallel-k"): [2, 4],
        ("a, b", "tiny+a@20", "parallel-k"): [2, 4],
        ("a, b", "tiny+b@20", "parallel-k"): [2, 3],
        ("other models", "tiny+a@20", "eb"): [2, 4],
    }
    # Of each family the last checkpoint that has a curve.
    runs = [*paced("tiny", 2, 3, 4, *eb), *paced("a", 2, 3, 4, *eb, step=10), *paced("a", 2, 3, eb[0])]
    data = figure.data(RunSet(tuple(runs)))
    assert data.groupby("family")["model"].unique().map(list).to_dict() == {
        "parallel-k": ["tiny", "tiny+a@20"], "eb": ["tiny", "tiny+a@10"],
    }  # fmt: skip
    figure.draw(data)


def test_before_and_after_are_bands_over_the_same_problems(made_up, trained):
    runs = {}
    for order, problems in (("ar", 5), ("confidence", 4)):
        runs[order] = (
            made_up(order, samples=16),
            made_up(order, lineage=trained("first")).part(num_samples=8, limit=problems),
        )
    data = FIGURES.get("trained-pass-at-k")().data(RunSet((*runs["ar"], *runs["confidence"])))
    for order, pair in runs.items():
        for run in pair:
            cut = run.part(num_samples=run.config.num_samples, limit=4)
            mine = columns(data, "k", "estimate", "low", "high", model=run.model, order=order)
            pd.testing.assert_frame_equal(mine, pass_at_k_band(cut.counts(), [1, 2, 4, 8]), check_dtype=False)


def test_the_last_exact_checkpoint_in_ar_order_is_the_one_after(made_up, trained):
    lineages = [
        trained("first"), trained("first", step=10), trained("third", fast=True, step=90), trained("x", base="other"),
        trained("second", order="random", step=90),
    ]  # fmt: skip
    runs = [made_up(), *(made_up(lineage=lineage) for lineage in lineages)]
    for arrangement in (runs, runs[::-1]):
        data = FIGURES.get("trained-pass-at-k")().data(RunSet(tuple(arrangement)))
        assert list(data["model"].unique()) == ["tiny", "tiny+first@20"]


def test_no_training_stands_for_another(made_up, trained):
    """Of two trainings, as of two seeds, each has its curve."""
    runs = [made_up(), made_up(lineage=trained("first")), made_up(lineage=trained("second"))]
    data = FIGURES.get("trained-pass-at-k")().data(RunSet(tuple(runs)))
    assert list(data["model"].unique()) == ["tiny", "tiny+first@20", "tiny+second@20"]


def test_seeds_of_a_recipe_share_a_panel_and_recipes_do_not(made_up, trained):
    """Each panel with the model before; where nobody recorded the recipe, each training stands by itself."""
    recorded = {"a-0": ("a", 0), "b": ("b", 0), "a-1": ("a", 1), "old": ("", None), "older": ("", None)}
    lineages = [dataclasses.replace(trained(name), recipe=own, seed=seed) for name, (own, seed) in recorded.items()]
    runs = [made_up(order, lineage=lineage) for order in ("ar", "confidence") for lineage in (None, *lineages)]
    figure = FIGURES.get("trained-pass-at-k")()
    of_recipes = {"a-0, a-1": ["a-0", "a-1"], "b": ["b"], "old": ["old"], "older": ["older"]}
    for arrangement in (runs[::-1], runs):
        data = figure.data(RunSet(tuple(arrangement)))
        panels = {key: list(own["model"].unique()) for key, own in data.groupby(["recipe", "order"], sort=False)}
        assert panels == {
            (recipe, order): ["tiny", *(f"tiny+{name}@20" for name in names)]
            for recipe, names in of_recipes.items()
            for order in ("ar", "confidence")
        }
    assert set(data["curve"]) == {"before training", "after training", "after, seed 0", "after, seed 1"}
    # Seeds stand beside each other after equally many rollouts, and not at all where they have none in common.
    for step, shown in ((10, ["tiny", "tiny+a-0@10", "tiny+a-1@10"]), (5, ["tiny", "tiny+a-0@20"])):
        further = [dataclasses.replace(lineages[0], step=step, samples=8 * step) for step in (10, 20)]
        other = dataclasses.replace(lineages[2], step=step, samples=8 * step)
        of_ar = [made_up("ar", lineage=lineage) for lineage in (None, *further, other)]
        panels = figure.data(RunSet(tuple(of_ar))).groupby("recipe", sort=False)["model"].unique()
        assert list(panels.iloc[0]) == shown
    titles = [axes.get_title(loc="left").split("\n")[-1] for axes in figure.draw(data).axes]
    assert titles[:2] == ["a-0, a-1 · ar", "a-0, a-1 · confidence"] and len(titles) == 8


def test_every_training_begins_at_the_model_before_it(made, enough):
    data, _ = made("training-time")
    accuracy = one(enough, order="ar").counts().eval("c / n").mean()
    assert list(data["training"].unique()) == ["first", "second"]
    for _, rows in data.groupby("training"):
        assert rows.iloc[0][["minutes", "rollouts", "estimate"]].tolist() == pytest.approx([0, 0, accuracy])
    assert columns(data, "minutes", "rollouts", training="first").to_numpy().tolist() == [[0, 0], [0.5, 80], [1, 160]]


def test_what_a_training_gained_is_paired_by_problem(made, enough):
    data, _ = made("training-time")
    before, after = one(enough, order="ar"), one(enough, order="ar", model="tiny+second@20")
    gain = pass_at_k_differences(after.counts(), before.counts(), ks=[1])[1]
    row = data[data["model"] == "tiny+second@20"].iloc[0]
    assert row[["gain", "gain_low", "gain_high"]].tolist() == [gain.estimate, gain.low, gain.high]
    assert row["estimate"] == pytest.approx(after.counts().eval("c / n").mean())
    moved = np.array([gain.low, gain.high]) + before.counts().eval("c / n").mean()
    assert row[["low", "high"]].tolist() == pytest.approx(np.clip(moved, 0, 1).tolist())


def test_training_time_is_drawn_over_rollouts_too(made):
    data, drawing = made("training-time")
    over_time, over_rollouts = drawing.axes
    for axes, x in ((over_time, "minutes"), (over_rollouts, "rollouts")):
        points = set().union(*(rounded(line.get_xdata(), line.get_ydata()) for line in axes.lines))
        assert points == rounded(data[x], data["estimate"])


def test_matched_entropy_lies_between_sampled_temperatures(made, enough):
    data, _ = made("matched-entropy")
    target = one(enough, order="ar").tokens()["entropy"].mean()
    assert data["entropy"].to_numpy() == pytest.approx(target)
    arbitrary = data[data["order"] == "confidence"].iloc[0]
    assert (arbitrary["lower"], arbitrary["upper"]) == (0.6, 1.5)
    assert 0.6 < arbitrary["temperature"] < 1.5


def test_matched_entropy_is_that_of_the_usual_temperature(made_up):
    runs = [made_up(order, temperature=at) for order in ("ar", "confidence") for at in (0.4, 0.6, 1.0, 2.4)]
    data = FIGURES.get("matched-entropy")().data(RunSet(tuple(runs)))
    assert data["entropy"].to_numpy() == pytest.approx(runs[1].tokens()["entropy"].mean())


def test_collapse_takes_as_many_samples_of_every_run(made_up):
    """With more samples, fewer canvases differ."""
    few, many = made_up("ar", samples=3), made_up("confidence")
    figure = FIGURES.get("collapse")()
    beside, alone = (figure.data(RunSet(runs)) for runs in ((few, many), (few, many.part(num_samples=3, limit=None))))
    assert beside["estimate"].tolist() == alone["estimate"].tolist()
    whole = figure.data(RunSet((many,)))["estimate"]
    assert beside.loc[beside["order"] == "confidence", "estimate"].tolist() != whole.tolist()


def test_closure_is_the_difference_of_the_two_entropies(made):
    data, _ = made("entropy-closure")
    table = data.pivot_table(index=["order", "group"], columns="quantity", values="estimate")
    assert table["closure"].to_numpy() == pytest.approx(table["frontier_entropy"] - table["entropy"])


@pytest.mark.parametrize("name", list(FIGURES))
def test_runs_that_lack_what_it_needs_are_refused_in_one_line(name, made_up):
    too_little = RunSet((made_up("margin", samples=1),))
    with pytest.raises(Unavailable) as refused:
        figure = FIGURES.get(name)()
        if name in ("order-map", "entropy-closure"):
            too_little = RunSet((made_up("eb:gamma=1", samples=1),))
        figure.data(too_little)
    message = str(refused.value)
    assert message.startswith(f"figure '{name}' needs ")
    assert "\n" not in message


def test_a_run_of_few_samples_does_not_shorten_the_budgets_of_others(made_up):
    runs = [made_up("ar"), made_up("confidence"), made_up("eb:gamma=3", samples=2)]
    data = FIGURES.get("pass-at-nfe")().data(RunSet(tuple(runs)))
    longest = data.groupby("series")["nfe"].max()
    spent = {run.config.order: run.samples.groupby("problem_id")["nfe"].sum().min() for run in runs}
    assert set(longest.index) == set(spent)
    assert all(spent[order] / 2 < longest[order] <= spent[order] for order in spent)


# By another verdict


def with_sound(run):
    """Of the correct samples, those with an even number are sound."""
    samples = run.samples
    sound = samples["correct"] & (samples["sample_index"] % 2 == 0)
    return dataclasses.replace(run, samples=samples.assign(verdicts=[{"sound": bool(one)} for one in sound]))


@pytest.mark.parametrize("name", ["pass-at-k", "samplers"])
def test_curves_by_another_verdict_stand_beside_those_by_correct(made_up, name):
    runs = RunSet(tuple(with_sound(made_up(order)) for order in ("ar", "confidence")))
    figure = FIGURES.get(name)()
    data = figure.data(runs)
    for run in runs:
        for counted in ("correct", "sound"):
            own = data[(data["order"] == run.config.order) & (data["counted"] == counted)].dropna(subset=["k"])
            expected = pass_at_k_band(run.counting(counted).counts(), [1, 2, 4, 8])
            assert own["estimate"].tolist() == expected["estimate"].tolist()
    drawing = figure.draw(data)
    dotted = [line for line in drawing.axes[0].lines if len(line.get_xdata()) > 2 and line.get_linestyle() == ":"]
    assert len(dotted) == 2 and all(line.get_label().startswith("_") for line in dotted)
    assert "Dotted: by the verdict sound instead of correct." in figure.foot(data)

    # By that verdict alone it is the curve; the foot names it.
    data = figure.data(runs.counting("sound"))
    assert set(data["counted"]) == {"sound"}
    assert "counted: sound" in figure.foot(data).replace("\N{NO-BREAK SPACE}", " ") and "Dotted" not in figure.foot(
        data
    )
    # A verdict that one of the runs lacks is not drawn.
    data = figure.data(RunSet((runs[0], made_up("confidence"))))
    assert set(data["counted"]) == {"correct"}


def test_budgets_are_spent_until_the_verdict_that_counts(made_up):
    runs = RunSet(tuple(with_sound(made_up(order)) for order in ("ar", "confidence"))).counting("sound")
    data = FIGURES.get("pass-at-nfe")().data(runs)
    last = data[data["order"] == "ar"].iloc[-1]
    at_budget = pass_at_nfe_table(runs[0].outcomes(), [int(last["nfe"])]).mean().iloc[0]
    assert last["estimate"] == pytest.approx(at_budget)
    assert at_budget < pass_at_nfe_table(runs[0].samples, [int(last["nfe"])]).mean().iloc[0]
