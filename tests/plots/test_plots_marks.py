"""Marks: the points of a drawing know their rows, and no picture shows them."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from flexeval.plots.curves import against, curve, percent
from flexeval.plots.layout import panels
from flexeval.plots.marks import Marks, marks_of
from flexeval.plots.render import rendered
from flexeval.plots.rows import Part, dots, name_lines, stacked
from flexeval.plots.style import house_style, looks

CURVE = pd.DataFrame(
    {"k": [4, 1, 2], "estimate": [0.5, 0.25, 0.375], "low": [0.4, 0.2, float("nan")], "high": [0.6, 0.3, float("nan")]}
)
LOOK = looks(["ar"])["ar"]


def drawn():
    with house_style():
        figure, (one, two, three, four) = panels(["a", "b", "c", "d"])
        curve(one, CURVE, "k", LOOK, label="ar")
        one.set_xlabel("k")
        one.set_ylabel("Pass@k, %")
        percent(one)
        pairs = pd.DataFrame({"problem_id": ["p/0", "p/1"], "x": [0.0, 0.5], "y": [1.0, 0.5]})
        against(two, pairs, "x", "y", LOOK)
        two.set_xlabel("ar, %")
        two.set_ylabel("other, %")
        for axis in (False, True):
            percent(two, horizontal=axis)
        name_lines(three, ["So", "Then"])
        means = pd.DataFrame({"estimate": [0.5, 1.25], "low": [0.4, 1.0], "high": [0.6, 1.5], "group": ["So", "Then"]})
        dots(three, means, [0.1, 1.1], LOOK, label="ar")
        three.set_xlabel("entropy, nats")
        shares = pd.DataFrame({"both": [0.75], "none": [0.25]}, index=pd.Index(["gsm8k"], name="task"))
        stacked(
            four, shares, {"both": Part(label="both", colour="#d9d9d9"), "none": Part(label="none", colour="white")}
        )
        percent(four, horizontal=True)
        four.set_xlabel("problems, %")
    return figure


def test_every_point_says_its_name_numbers_and_units():
    assert [text for marks in marks_of(drawn()) for text in marks.texts()] == [
        "ar: k 1, Pass@k 25 % [20, 30]",
        "ar: k 2, Pass@k 37.5 %",
        "ar: k 4, Pass@k 50 % [40, 60]",
        "p/0: ar 0 %, other 100 %",
        "p/1: ar 50 %, other 50 %",
        "So, ar: entropy 0.5 nats [0.4, 0.6]",
        "Then, ar: entropy 1.25 nats [1, 1.5]",
        "both: problems 75 %",
        "none: problems 25 %",
    ]


def test_every_point_has_its_row():
    curve_rows, pairs, means, both, none = (marks.rows for marks in marks_of(drawn()))
    assert [row["k"] for row in curve_rows] == [1, 2, 4]
    assert [row["problem_id"] for row in pairs] == ["p/0", "p/1"]
    assert [row["group"] for row in means] == ["So", "Then"]
    assert (both[0]["task"], both[0]["part"], none[0]["part"]) == ("gsm8k", "both", "none")


@pytest.mark.parametrize("format", ["png", "pdf", "svg"])
def test_pictures_do_not_have_them(format):
    with_marks, without = drawn(), drawn()
    for panel in without.axes:
        for one in [one for one in panel.collections if isinstance(one, Marks)]:
            one.remove()
    assert marks_of(with_marks) and not marks_of(without)
    assert rendered(with_marks, format) == rendered(without, format)
    assert isinstance(marks_of(with_marks)[0], PathCollection)
