"""The frame: widths in inches, texts inside it, nothing on anything else."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from flexeval.plots.layout import finish, panels
from flexeval.plots.style import COLUMN_WIDTH, PAGE_WIDTH, house_style


def boxes(figure):
    figure.draw_without_rendering()
    return [artist.get_tightbbox() for artist in [figure.texts[0], *figure.legends, figure.axes[0], figure.texts[1]]]


@pytest.mark.parametrize("series", [1, 5, 14])
@pytest.mark.parametrize("wide", [False, True])
def test_title_legend_panels_and_foot_do_not_overlap(series, wide):
    with house_style():
        figure, (axes,) = panels(["a panel"], wide=wide)
        for i in range(series):
            axes.plot([0, 1], [i, i], label=f"a series with a name {i}")
        finish(figure, title="A title of many words that goes on and on " * 2, foot="small print 0123456789 " * 12)
        stack = boxes(figure)
    width, height = figure.get_size_inches() * figure.dpi
    assert width == pytest.approx((PAGE_WIDTH if wide else COLUMN_WIDTH) * figure.dpi)
    assert all(above.y0 >= below.y1 for above, below in pairwise(stack))
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in stack)


def test_the_legend_reads_row_by_row():
    with house_style():
        figure, (axes,) = panels(["a panel"])
        names = [f"name number {i}" for i in range(5)]
        for i, name in enumerate(names):
            axes.plot([0], [i], label=name)
        finish(figure, title="t", foot="f")
        figure.draw_without_rendering()
        (legend,) = figure.legends
        at = {text.get_text(): text.get_window_extent() for text in legend.get_texts()}
    assert sorted(names, key=lambda name: (-round(at[name].y0), at[name].x0)) == names


def test_long_titles_get_fewer_panels_in_a_row():
    with house_style():
        _, short = panels(["a"] * 4, columns=4)
        _, long = panels(["a title that takes a third of the page"] * 4, columns=4)
    assert short[0].get_gridspec().ncols == 4
    assert long[0].get_gridspec().ncols == 2


def test_a_no_break_space_holds_words_together():
    held = "T\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.6"
    with house_style():
        figure, _ = panels(["a panel"])
        finish(figure, title="t", foot=" ".join([held] * 40))
    assert all(part == held for line in figure.texts[1].get_text().split("\n") for part in line.split(" "))


def test_a_word_that_is_too_long_is_broken():
    word = "/a/path/that/goes/on" * 12
    with house_style():
        figure, _ = panels(["a panel"])
        finish(figure, title="t", foot=f"model {word}, task x")
        *_, foot = boxes(figure)
    assert foot.x1 <= figure.get_size_inches()[0] * figure.dpi
    assert word in figure.texts[1].get_text().replace("\n", "")


def test_pyplot_stays_out_of_it():
    code = (
        "import sys, flexeval.plots.layout, flexeval.plots.render, flexeval.plots.heat_map, flexeval.plots.curves\n"
        "assert not sys.modules.keys() & {'matplotlib.pyplot', 'torch'}\n"
        "import flexeval.figures\n"
        "assert list(flexeval.figures.FIGURES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def drawn(*ends, names=None, columns=2):
    """Panels with a line from 0 to each end, and the names beside the last one."""
    with house_style():
        figure, axes = panels(["a", "b"][:columns], columns=columns)
        for panel in axes:
            for name, end in zip(names or "xyzuvw", ends, strict=False):
                panel.plot([0, 1], [0, end], label=name)
            panel.set_ylim(0, 1)
        finish(figure, title="t", foot="f")
        figure.draw_without_rendering()
    beside = [text for text in axes[-1].texts if text.get_text()]
    return figure, axes, {text.get_text(): text.get_window_extent() for text in beside}


def test_a_few_lines_are_named_where_they_end():
    figure, axes, names = drawn(0.2, 0.9, 0.5)
    assert not figure.legends and not axes[0].texts
    assert sorted(names, key=lambda name: names[name].y0) == ["x", "z", "y"]
    edge = axes[-1].get_window_extent()
    for name, end in zip("xyz", (0.2, 0.9, 0.5), strict=True):
        middle = (names[name].y0 + names[name].y1) / 2
        assert (middle - edge.y0) / edge.height == pytest.approx(end, abs=0.03)
        assert edge.x1 < names[name].x0 and names[name].x1 <= figure.get_size_inches()[0] * figure.dpi


@pytest.mark.parametrize("ends", [(0.5, 0.52, 0.1), (0.9, 0.97, 0.5), (0.03, 0.1, 0.5)])
def test_names_of_lines_do_not_lie_on_each_other_and_stay_at_the_panel(ends):
    _, axes, names = drawn(*ends)
    low, high = sorted((names["x"], names["y"]), key=lambda box: box.y0)
    edge = axes[-1].get_window_extent()
    assert low.y1 <= high.y0 + 1 and edge.y0 - 1 <= low.y0 and high.y1 <= edge.y1 + 1


@pytest.mark.parametrize(
    ("ends", "names"),
    [((0.1, 0.3, 0.5, 0.7, 0.9), None), ((0.5, 0.5, 0.5, 0.5), None), ((0.1, 0.9), ("a name with many words", "b"))],
)
def test_where_ends_cannot_be_named_there_is_a_legend(ends, names):
    figure, _, beside = drawn(*ends, names=names)
    assert len(figure.legends) == 1 and not beside
    assert len(figure.legends[0].get_texts()) == len(ends)


def test_only_the_first_of_panels_with_the_same_axis_has_its_numbers():
    with house_style():
        figure, axes = panels(["a", "b", "c"])
        for panel in axes:
            panel.plot([0, 1], [0, 1])
            panel.set_ylabel("y")
        finish(figure, title="t", foot="f")
    assert [any(label.get_visible() for label in panel.get_yticklabels()) for panel in axes] == [True, False, False]


def test_a_last_panel_without_a_label_leaves_the_legend():
    with house_style():
        figure, (first, second) = panels(["one", "two"], wide=True)
        for i in range(2):
            first.bar([i], [1], label=f"part {i}")
        second.bar([0], [1])
        finish(figure, title="A title", foot="small print")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["part 0", "part 1"]
