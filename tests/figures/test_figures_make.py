"""The files of figures are whole, the same every time, and left out with a reason."""

from __future__ import annotations

import dataclasses
import re
import warnings

import matplotlib
import pandas as pd
import pytest

from flexeval.errors import DamageError, InputError, Note
from flexeval.figures import FIGURES, Unavailable, make_figures
from flexeval.figures.make import FORMATS
from flexeval.plots.style import house_style
from flexeval.report.figures import figure_page
from flexeval.runs.store import RunSet


def test_the_same_runs_give_the_same_bytes_whatever_the_callers_style(enough, tmp_path):
    first = make_figures(enough, tmp_path / "a", ["coverage", "rank-map"])
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "savefig.dpi": 10}):
        second = make_figures(enough, tmp_path / "b", ["coverage", "rank-map"])
    assert [path.name for path in first] == [
        f"{n}.{s}" for n in ("coverage", "rank-map") for s in ("png", "pdf", "csv")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(path.name for path in first)
    for path in first:
        content = path.read_bytes()
        assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".csv": b"model,task"}[path.suffix])
        assert not re.search(rb"CreationDate|Matplotlib v", content)
    assert first[0].read_bytes().rstrip().endswith(b"IEND\xaeB`\x82")
    assert first[1].read_bytes().rstrip().endswith(b"%%EOF")


def test_a_figure_can_be_drawn_again_from_its_csv(enough, tmp_path):
    figure = FIGURES.get("coverage")()
    _, _, table = make_figures(enough, tmp_path, ["coverage"])
    data = pd.read_csv(table)
    pd.testing.assert_frame_equal(data, figure.data(enough), check_dtype=False)
    assert figure.draw(data).axes


def test_a_page_of_a_figure_needs_no_other_file_and_tells_every_number(enough, tmp_path):
    data = FIGURES.get("pass-at-k")().data(enough)
    (page,) = make_figures(enough, tmp_path, ["pass-at-k"], formats={"html": figure_page})
    text = page.read_text()
    assert page.suffix == ".html" and len(text) < 200_000
    assert "default-src &#39;none&#39;" in text and "<script" not in text
    titles = re.findall(r"<title>(.*?)</title>", text)[1:]
    for row in data[data["quantity"] == "pass@k"].to_dict("records"):
        numbers = [f"{100 * row[name]:.4g}" for name in ("estimate", "low", "high")]
        assert "{order}: k {k:.4g}, Pass@k {0} % [{1}, {2}]".format(*numbers, **row) in titles
    # What was drawn is the same drawing afterwards.
    formats = {"html": figure_page, "png": FORMATS["png"]}
    both = make_figures(enough, tmp_path / "both", ["pass-at-k"], formats=formats)
    assert both[1].read_bytes() == make_figures(enough, tmp_path, ["pass-at-k"])[0].read_bytes()


@pytest.mark.parametrize("name", ["pass-at-k", "samplers", "difference", "coverage", "correlation"])
def test_models_share_a_panel_where_they_are_compared(made_up, trained, name):
    models = {"tiny": {}, "tiny+first@20": {"lineage": trained("first")}}
    runs = RunSet(tuple(made_up(order, **own) for order in ("ar", "confidence") for own in models.values()))
    figure = FIGURES.get(name)("model")
    data = figure.data(runs)
    of_order = data[data["order"] == "ar"]
    if name == "coverage":
        assert {"tiny_only", "tiny+first@20_only"} < set(of_order["part"])
    elif name in ("difference", "correlation"):
        assert set(of_order["model"]) == {"tiny+first@20"} and set(of_order["reference"]) == {"tiny"}
    else:
        assert set(of_order["model"].dropna()) == set(models)
    words = [text.get_text() for text in figure.draw(data).texts]
    assert words[0].replace("\n", " ") == figure.title_of_models and "tiny+first@20" in words[1]


def test_a_figure_that_compares_orders_only_says_so(made_up):
    with pytest.raises(Unavailable, match="figure 'block-length' compares orders only"):
        FIGURES.get("block-length")("model")


def test_what_runs_do_not_suffice_for_is_left_out_with_its_reason(made_up, tmp_path):
    said: list[str] = []
    written = make_figures(RunSet((made_up("random"),)), tmp_path, say=said.append)
    made = {path.stem for path in written}
    assert made == {"order-map", "collapse", "entropy-closure"}
    assert len(said) == len(list(FIGURES)) - len(made)
    assert all(line.startswith("left out: figure ") for line in said)


def test_a_figure_that_was_asked_for_is_refused_and_leaves_no_folder(made_up, tmp_path):
    with pytest.raises(Unavailable, match="figure 'pass-at-k' needs a run of order ar and one of order confidence"):
        make_figures(RunSet((made_up(),)), tmp_path / "new", ["pass-at-k"])
    assert not (tmp_path / "new").exists()


def test_runs_that_suffice_for_nothing_are_refused(made_up, tmp_path):
    with pytest.raises(Unavailable, match="do not suffice for any figure"):
        make_figures(RunSet((made_up("eb:gamma=1", samples=1),)), tmp_path, say=lambda line: None)


@pytest.mark.parametrize("name", list(FIGURES))
def test_nothing_to_show_is_said_and_not_drawn(name):
    figure = FIGURES.get(name)()
    with pytest.raises(Unavailable, match=f"figure '{name}' has nothing to show"):
        figure.draw(pd.DataFrame())


def test_unfinished_runs_and_unknown_names_are_refused(made_up, tmp_path):
    with pytest.raises(InputError, match="has 47 of 48 samples"):
        make_figures(RunSet((made_up(missing=1),)), tmp_path)
    with pytest.raises(InputError, match="Did you mean 'coverage'"):
        make_figures(RunSet((made_up(),)), tmp_path, ["covrage"])
    assert not list(tmp_path.iterdir())


def test_nothing_warns_and_the_callers_style_stays(enough):
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = FIGURES.get("pass-at-k")()
        figure.draw(figure.data(enough))
    assert dict(matplotlib.rcParams) == before
    with house_style():
        assert not matplotlib.rcParams["text.parse_math"]


def test_characters_that_the_font_lacks_are_one_note(enough, tmp_path):
    named = (dataclasses.replace(run, config=dataclasses.replace(run.config, model="日本")) for run in enough)
    with pytest.warns(Note, match="the font of the figures lacks '日', '本'") as noted:
        make_figures(RunSet(tuple(named)), tmp_path, ["coverage", "rank-map"])
    assert len(noted) == 1


def test_runs_of_unequal_extent_are_shown_on_the_problems_that_all_have(enough, tmp_path):
    """As in a plan that spends its samples where they tell most."""
    cut = [
        run.part(num_samples=8 - index % 3, limit=6 - index % 2 if run.config.order == "ar" else 4)
        for index, run in enumerate(enough)
    ]
    said: list[str] = []
    written = make_figures(RunSet(tuple(cut)), tmp_path, formats={"csv": FORMATS["csv"]}, say=said.append)
    assert said == []
    for path in written:
        if path.suffix == ".csv" and path.stem not in ("difference", "correlation"):  # which take pairs of runs
            assert (pd.read_csv(path).groupby(["model", "task"])["problems"].nunique() == 1).all(), path.name


def test_one_figure_that_cannot_be_made_does_not_take_the_others_along(enough, tmp_path):
    other = dataclasses.replace(enough[1], problems=enough[1].problems.assign(problem_id=[f"q{i}" for i in range(6)]))
    said: list[str] = []
    written = make_figures(RunSet((enough[0], other, *enough[2:])), tmp_path, say=said.append)
    assert any("the same problems" in line for line in said)
    assert "tokens-per-step" in {path.stem for path in written}


def test_damage_is_no_reason_to_leave_a_figure_out(made_up, monkeypatch, tmp_path):
    def refuse(compare):
        raise DamageError("restore the file")

    monkeypatch.setattr("flexeval.figures.make.FIGURES", {"damaged": refuse})
    with pytest.raises(DamageError):
        make_figures(RunSet((made_up(),)), tmp_path)
