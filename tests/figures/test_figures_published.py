"""Published numbers are overlaid where the setting is theirs, and nowhere else."""

from __future__ import annotations

import pandas as pd
import pytest

from flexeval.figures import FIGURES
from flexeval.figures.published import published_coverage, published_pass_at_k
from flexeval.runs.store import RunSet

LLADA = {"model": "GSAI-ML/LLaDA-8B-Instruct", "task": "gsm8k", "gen_length": 256, "block_length": 32}


@pytest.mark.parametrize("model", ["llada-8b-instruct", "GSAI-ML/LLaDA-8B-Instruct", "models/LLaDA-8B-Instruct"])
def test_a_model_is_known_by_each_of_its_names(made_up, model):
    known = published_pass_at_k(made_up("confidence", **{**LLADA, "model": model}))
    assert known.set_index("k")["estimate"][128] == pytest.approx(0.970)


def test_a_table_is_preferred_to_a_plot(made_up):
    known = published_pass_at_k(made_up("confidence", **LLADA)).set_index("k")
    assert known["estimate"][1] == pytest.approx(0.786)
    assert "Table 4" in known["source"][1]
    assert known["estimate"][8] == pytest.approx(0.925)
    assert known.index.is_unique


@pytest.mark.parametrize(
    "other",
    [
        {"model": "tiny"},
        {"task": "word-problems"},
        {"temperature": 1.0},
        {"block_length": 64},
        {"task": "humaneval", "temperature": 0.3},
    ],
)
def test_another_setting_gets_nothing(made_up, other):
    assert published_pass_at_k(made_up("confidence", **{**LLADA, **other})).empty


def test_the_bundled_model_is_never_compared_with_a_paper(made_up):
    for task in ("word-problems", "sudoku4", "gsm8k"):
        run = made_up("ar", task=task)
        assert published_pass_at_k(run).empty
        assert published_coverage(run).empty


def test_block_length_of_ar_order_does_not_matter(made_up):
    assert len(published_pass_at_k(made_up("ar", **LLADA))) == 8


def test_figures_draw_them_hollow_and_name_their_source(made_up):
    runs = RunSet((made_up("ar", **LLADA), made_up("confidence", **LLADA)))
    for name in ("pass-at-k", "coverage"):
        figure = FIGURES.get(name)()
        data = figure.data(runs)
        drawing = figure.draw(data)
        hollow = [line for axes in drawing.axes for line in axes.lines if "published" in str(line.get_label())]
        assert len(hollow) == 2
        assert all(line.get_markerfacecolor() == "white" for line in hollow)
        assert "arXiv:2601.15165" in drawing.texts[-1].get_text().replace("\n", " ")
        assert data.loc[data["source"] != "measured", ["low", "high"]].isna().all(axis=None)


def test_coverage_is_that_of_the_figure(made_up):
    known = published_coverage(made_up("confidence", **{**LLADA, "task": "humaneval"}))
    expected = {"k": 1024, "ar_only": 0.213, "confidence_only": 0.006}
    assert known.drop(columns="source").iloc[0].to_dict() == pytest.approx(expected)
    assert isinstance(known, pd.DataFrame)
