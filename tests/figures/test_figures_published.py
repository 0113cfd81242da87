"""Published numbers are drawn where the setting is theirs, and nowhere else; the small print says which, or why not."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure as Drawing
from published_runs import paper_run

from flexeval.figures import FIGURES
from flexeval.figures.settings import published_coverage, published_pass_at_k
from flexeval.runs.store import RunSet

FIGURES_WITH_NUMBERS = {"pass-at-k": 8, "samplers": 8, "coverage": 1024}
"""Figure -> samples of each problem at which published numbers can stand in it."""


def pair(samples: int, **settings: Any) -> RunSet:
    settings = {"task": "math500:template=d1", "samples": samples, **settings}
    return RunSet((paper_run("ar", **settings), paper_run("confidence", **settings)))


def drawn(name: str, runs: RunSet) -> tuple[pd.DataFrame, Drawing, str]:
    """Data, drawing and small print of a figure."""
    figure = FIGURES.get(name)()
    data = figure.data(runs)
    drawing = figure.draw(data)
    return data, drawing, " ".join(drawing.texts[-1].get_text().replace("\N{NO-BREAK SPACE}", " ").split())


def hollow(drawing: Drawing) -> list[Any]:
    return [line for axes in drawing.axes for line in axes.lines if "published" in str(line.get_label())]


@pytest.mark.parametrize(("name", "samples"), FIGURES_WITH_NUMBERS.items())
def test_figures_draw_them_hollow_and_name_their_source(name, samples):
    data, drawing, small_print = drawn(name, pair(samples))
    assert len(hollow(drawing)) == 2
    assert all(line.get_markerfacecolor() == "white" for line in hollow(drawing))
    assert "Published: arXiv:2601.15165" in small_print and "No published" not in small_print
    assert data.loc[data["source"] != "measured", ["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize(("name", "samples"), FIGURES_WITH_NUMBERS.items())
def test_in_another_setting_the_small_print_says_why_none_is_drawn(name, samples):
    data, drawing, small_print = drawn(name, pair(samples, top_p=0.5, gen_length=128))
    assert hollow(drawing) == [] and set(data["source"]) == {"measured"}
    why = "gen_length 128 (published 256), top_p 0.5 (published 1)"
    assert set(data["why_no_published"].dropna()) == {why}
    assert f"{why}." in small_print and "No published number beside ar" in small_print


def test_the_bundled_model_is_never_compared_with_a_paper(made_up):
    for task in ("word-problems", "sudoku4", "gsm8k:template=d1"):
        runs = RunSet((made_up("ar", task=task), made_up("confidence", task=task)))
        assert published_pass_at_k(runs[0]).empty and published_coverage(*runs).empty
        _, drawing, small_print = drawn("pass-at-k", runs)
        assert hollow(drawing) == [] and "ublished" not in small_print


def test_estimates_are_the_fractions_of_the_table():
    known = published_pass_at_k(paper_run("confidence")).set_index("k")
    assert known["estimate"][128] == pytest.approx(0.970)
    coverage = published_coverage(*pair(1024))
    expected = {"k": 1024, "ar_only": 0.048, "confidence_only": 0.006}
    assert coverage.drop(columns="source").iloc[0].to_dict() == pytest.approx(expected)


def test_only_the_runs_with_other_settings_are_named():
    runs = RunSet((*pair(8), *pair(8, task="humaneval")))
    _, drawing, small_print = drawn("pass-at-k", runs)
    assert len(hollow(drawing)) == 2
    assert "No published number beside ar and confidence on humaneval: prompt default (published not stated)." in (
        small_print
    )
